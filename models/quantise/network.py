"""A network as a list of nodes whose constants are at hand, read from ONNX and written as ONNX again.

Covers what face networks are made of: convolutions, activations, additions, pooling, resizing, and at the end whatever turns the
last feature maps into outputs, which is carried along as it is.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
PRODUCER = "doorward models/quantize.py"
# max(x, 0) + a * min(x, 0): a positive factor on a channel may be moved from before it to behind it.
HOMOGENEOUS = {"Relu", "PRelu", "LeakyRelu"}
ACTIVATIONS = HOMOGENEOUS | {"Clip"}
# What hands values on unchanged, so that scale and zero point of its input hold for its output.
PASSING = {"MaxPool", "Resize"}


@dataclass
class Node:
    """An ONNX node; `inputs` are the tensors that it reads, `constants` the constant ones by their place."""

    op: str
    inputs: list
    outputs: list
    attributes: dict = field(default_factory=dict)
    constants: dict = field(default_factory=dict)

    @property
    def output(self):
        return self.outputs[0]

    @property
    def weight(self):
        """Of a convolution: output channel, input channel of the group, row, column."""
        return self.constants[1]

    @weight.setter
    def weight(self, values):
        self.constants[1] = values

    @property
    def bias(self):
        return self.constants[2]

    @bias.setter
    def bias(self, values):
        self.constants[2] = values

    @property
    def depthwise(self):
        """Each output channel reads the input channel of the same number."""
        return self.op == "Conv" and self.weight.shape[1] == 1 and self.attributes.get("group", 1) == self.weight.shape[0]

    @property
    def unpadded(self):
        """A dense convolution without padding: an offset of its input is a constant of its output."""
        return self.op == "Conv" and self.attributes.get("group", 1) == 1 and not self.padded

    @property
    def pointwise(self):
        """1x1, dense, unpadded."""
        return self.unpadded and self.weight.shape[2:] == (1, 1)

    @property
    def padded(self):
        """Whether a convolution reads beyond the edge."""
        return any(self.attributes.get("pads", [])) or self.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")

    @property
    def geometry(self):
        """What two convolutions must share to be one."""
        return self.weight.shape[2:], *(tuple(self.attributes.get(k, ())) for k in ("strides", "pads", "dilations"))

    def onnx(self, rename=lambda tensor: tensor):
        """The ONNX node and its initialisers, inputs named by `rename`."""
        given = iter(self.inputs)
        operands, initialisers = [], []
        for place in range(len(self.inputs) + len(self.constants)):
            if place not in self.constants:
                operands.append(rename(next(given)))
                continue
            value = self.constants[place]
            kind = {1: "weight", 2: "bias"}[place] if self.op == "Conv" else f"constant{place}"
            if value.dtype == np.float64:  # convolutions are reckoned with in double precision
                value = value.astype(np.float32)
            operands.append(f"{self.output}.{kind}")
            initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), operands[-1]))
        made = helper.make_node(self.op, operands, self.outputs, name=f"{self.op.lower()}:{self.output}", **self.attributes)
        return made, initialisers


@dataclass
class Network:
    """Nodes in an order in which they can run."""

    nodes: list
    input: onnx.ValueInfoProto
    outputs: list

    @classmethod
    def read(cls, model):
        """From an ONNX model (bytes). One input; all weights constant."""
        model = onnx.load_from_string(model)
        graph = model.graph
        constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        inputs = [i for i in graph.input if i.name not in constants]
        if len(inputs) != 1:
            raise ValueError(f"the network has {len(inputs)} inputs, one is expected")
        nodes = []
        for node in graph.node:
            if node.op_type == "Constant":
                constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
                continue
            made = Node(node.op_type, [t for t in node.input if t not in constants], list(node.output),
                        {a.name: helper.get_attribute_value(a) for a in node.attribute},
                        {place: constants[t] for place, t in enumerate(node.input) if t in constants})
            if made.op == "Conv":
                made.weight = made.weight.astype(np.float64)
                made.constants.setdefault(2, np.zeros(len(made.weight)))
                made.bias = made.bias.astype(np.float64)
            nodes.append(made)
        return cls(nodes, inputs[0], list(graph.output))

    def readers(self, tensor):
        return [node for node in self.nodes if tensor in node.inputs]

    def producer(self, tensor):
        return next((node for node in self.nodes if tensor in node.outputs), None)

    @property
    def centring(self):
        """The node that takes the padding's value off the input (simplify.centre_input), if there is one."""
        readers = self.readers(self.input.name)
        return readers[0] if [node.op for node in readers] == ["Sub"] and 1 in readers[0].constants else None

    @property
    def entry(self):
        """The tensor of pixels that the first convolutions read: the input, or what is behind its centring."""
        return self.centring.output if self.centring else self.input.name

    @property
    def centre(self):
        """The value of the input for which the 0 of `entry` stands, one or one a channel."""
        return self.centring.constants[1].astype(np.float64).reshape(-1) if self.centring else np.zeros(1)

    def is_output(self, tensor):
        return any(value.name == tensor for value in self.outputs)

    def convolutions(self):
        return [node for node in self.nodes if node.op == "Conv"]

    def model(self):
        """As a float ONNX model."""
        return assemble(self, [node.onnx() for node in self.nodes])


def assemble(network, pieces):
    """The ONNX model of (node, initialisers) pieces, with the network's input and outputs, checked."""
    graph = helper.make_graph([node for node, _ in pieces], "doorward", [network.input], network.outputs,
                              [i for _, initialisers in pieces for i in initialisers])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name=PRODUCER)
    onnx.checker.check_model(model, full_check=True)
    return model


def shapes(network):
    """{tensor: shape}, a dimension that is not fixed as 0."""
    inferred = onnx.shape_inference.infer_shapes(network.model()).graph
    return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in [*inferred.value_info, *inferred.output]}


def session(model):
    """One thread, and Q/DQ run as they are written: the same numbers each time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run_node(node, operands):
    """One node on arrays (batches of any size)."""
    made, initialisers = node.onnx()
    values = [helper.make_tensor_value_info(t, TensorProto.FLOAT, None) for t in dict.fromkeys(node.inputs)]
    results = [helper.make_tensor_value_info(t, TensorProto.FLOAT, None) for t in node.outputs]
    graph = helper.make_graph([made], "node", values, results, initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return session(model).run(None, dict(zip(node.inputs, operands)))
