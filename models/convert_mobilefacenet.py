"""The 192-d MobileFaceNet from TensorFlow Lite (NHWC, batch fixed at 2) to ONNX (NCHW, batch 1), checked against the original.

The tflite file spells each PRelu as five operators. Written back as PRelu, the graph is Conv, PRelu, Add and one Flatten.
"""

import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT = "input", "embedding"
LEAST_COSINE = 0.99999


class Converter:
    """Walks the tflite graph once, in its order, and collects ONNX nodes."""

    def __init__(self, data):
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.operators = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        self.nodes, self.initialisers, self.names = [], [], {}
        self.readers = {}
        for operator in self.operators:
            for tensor in inputs(operator):
                self.readers.setdefault(tensor, []).append(operator)

    def code(self, operator):
        return self.model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()

    def shape(self, tensor):
        return [int(d) for d in self.graph.Tensors(tensor).ShapeAsNumpy()]

    def constant(self, tensor):
        buffer = self.model.Buffers(self.graph.Tensors(tensor).Buffer())
        if not buffer.DataLength() or self.graph.Tensors(tensor).Type() != tflite.TensorType.FLOAT32:
            raise ValueError(f"tensor {tensor} is not a float constant")
        return np.frombuffer(buffer.DataAsNumpy().tobytes(), "<f4").reshape(self.shape(tensor))

    def store(self, name, values):
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def emit(self, kind, sources, constants, result, **attributes):
        """Adds a node that makes the tflite tensor `result` of tflite tensors and constants (a dictionary by name)."""
        name = f"{kind.lower()}{sum(node.op_type == kind for node in self.nodes)}"
        operands = [self.names[t] for t in sources] + [self.store(f"{name}.{key}", v) for key, v in constants.items()]
        self.nodes.append(helper.make_node(kind, operands, [name], name=name, **attributes))
        self.names[result] = name

    def convolution(self, operator):
        depthwise = self.code(operator) == tflite.BuiltinOperator.DEPTHWISE_CONV_2D
        options = (tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions)()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        if options.FusedActivationFunction() or options.DilationHFactor() != 1 or options.DilationWFactor() != 1:
            raise ValueError("a fused activation or a dilation is not expected in this network")
        source, weights, bias = inputs(operator)
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)  # to output channel, input channel of the group, row, column
        kernel = self.constant(weights).transpose(order)
        strides = (options.StrideH(), options.StrideW())
        before, after = [], []
        for axis in (0, 1):
            size, made = self.shape(source)[1 + axis], self.shape(output(operator))[1 + axis]
            same = options.Padding() == tflite.Padding.SAME
            total = max((made - 1) * strides[axis] + kernel.shape[2 + axis] - size, 0) if same else 0
            before.append(total // 2)  # SAME puts the odd pixel at the end
            after.append(total - total // 2)
        self.emit("Conv", [source], {"weight": kernel, "bias": self.constant(bias)}, output(operator), strides=strides,
                  kernel_shape=kernel.shape[2:], pads=before + after, group=kernel.shape[0] if depthwise else 1)

    def prelu(self, relu):
        """relu(x) + k * (x - |x|) is PRelu with the slope 2k, as x - |x| = 2 min(x, 0)."""
        op = tflite.BuiltinOperator
        source = inputs(relu)[0]
        absolute, = [o for o in self.readers[source] if self.code(o) == op.ABS]
        difference, = [o for o in self.readers[source] if self.code(o) == op.SUB]
        product, = self.readers[output(difference)]
        total, = self.readers[output(product)]
        factor, = [t for t in inputs(product) if t != output(difference)]
        expected = (inputs(difference) == [source, output(absolute)] and self.code(product) == op.MUL
                    and self.code(total) == op.ADD and set(inputs(total)) == {output(relu), output(product)})
        if not expected:
            raise ValueError("a RELU that is not part of a spelled-out PRelu")
        slope = 2 * self.constant(factor).reshape(-1, 1, 1)
        self.emit("PRelu", [source], {"slope": slope}, output(total))

    def run(self):
        op = tflite.BuiltinOperator
        first, last = int(self.graph.Inputs(0)), int(self.graph.Outputs(0))
        _, height, width, channels = self.shape(first)
        self.names[first] = INPUT
        for operator in self.operators:
            code = self.code(operator)
            if code in (op.CONV_2D, op.DEPTHWISE_CONV_2D):
                self.convolution(operator)
            elif code == op.RELU:
                self.prelu(operator)
            elif code == op.ADD and output(operator) not in self.names:  # not the end of a PRelu
                self.emit("Add", inputs(operator), {}, output(operator))
            elif code == op.RESHAPE:
                self.nodes.append(helper.make_node("Flatten", [self.names[inputs(operator)[0]]], [OUTPUT], name="flatten"))
            elif code not in (op.ABS, op.SUB, op.MUL, op.ADD):
                raise ValueError(f"operator {code} is not expected in this network")
        graph = helper.make_graph(
            self.nodes, "mobilefacenet",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, channels, height, width])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, self.shape(last)[-1]])],
            self.initialisers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
                                 producer_name="doorward models/build.py")


def inputs(operator):
    return [int(i) for i in operator.InputsAsNumpy()]


def output(operator):
    return int(operator.Outputs(0))


def compare(original, converted, pictures):
    """The cosine between the tflite interpreter's embedding and the converted graph's, for each HWC picture."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=original)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    session = onnxruntime.InferenceSession(converted, providers=["CPUExecutionProvider"])
    cosines = []
    for picture in pictures:
        interpreter.set_tensor(source, np.stack([picture, picture]))
        interpreter.invoke()
        a = interpreter.get_tensor(target)[0].astype(np.float64)
        b = session.run([OUTPUT], {INPUT: picture.transpose(2, 0, 1)[None]})[0][0].astype(np.float64)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return np.array(cosines)


def probes():
    """Inputs for the check: noise, gradients, and smooth random fields that look more like pictures; fixed seed."""
    random = np.random.default_rng(20240501)
    noise = [random.uniform(-1, 1, (112, 112, 3)) for _ in range(3)]
    y, x = np.mgrid[-1:1:112j, -1:1:112j]
    gradients = [np.stack([x, y, x * y], -1), np.stack([-y, x * x - 0.5, y], -1)]
    smooth = []
    for _ in range(5):
        waves = random.normal(size=(6, 3, 3))
        smooth.append(np.clip(sum(np.sin(3 * w[0] * x[..., None] + 3 * w[1] * y[..., None] + w[2]) for w in waves) / 3, -1, 1))
    return [np.ascontiguousarray(p, np.float32) for p in noise + gradients + smooth]


def convert(data):
    """The bytes of the ONNX model; raises when it does not agree with the tflite interpreter."""
    model = Converter(data).run()
    onnx.checker.check_model(model, full_check=True)
    made = model.SerializeToString(deterministic=True)
    cosines = compare(data, made, probes())
    if not cosines.min() >= LEAST_COSINE:
        raise ValueError(f"the converted MobileFaceNet differs from the tflite interpreter: least cosine {cosines.min():.7f}")
    return made
