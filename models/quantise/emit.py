"""A quantised network as a plain ONNX file: Q/DQ where the recipe rounds, weights as i8, standard operators only."""

import numpy as np
from onnx import helper, numpy_helper

from .network import assemble
from .recipe import quantise_weights


def emit(plan, quantisers):
    """The ONNX model with QuantizeLinear and DequantizeLinear behind each tensor that `quantisers` names."""
    network = plan.network
    integers = {c.output for c in plan.convolutions()}
    names, pieces = {}, []
    if network.input.name in quantisers:
        names[network.input.name] = rounding(network.input.name, quantisers[network.input.name], pieces)
    for node in network.nodes:
        if node.output in integers:
            pieces.append(integer_convolution(node, names, pieces))
        else:
            pieces.append(node.onnx(lambda tensor: names.get(tensor, tensor)))
        if node.output in quantisers:
            names[node.output] = rounding(node.output, quantisers[node.output], pieces)
    return assemble(network, pieces)


def rounding(tensor, quantiser, pieces):
    """Adds [Sub,] QuantizeLinear, DequantizeLinear [, Add]; returns the name of what comes out."""
    scale, zero = f"{tensor}.scale", f"{tensor}.zero_point"
    parameters = [numpy_helper.from_array(np.array(quantiser.scale, np.float32), scale),
                  numpy_helper.from_array(np.array(quantiser.zero_point, np.int8), zero)]
    source = tensor
    if quantiser.offset is not None:
        offset = numpy_helper.from_array(quantiser.offset.reshape(1, -1, 1, 1), f"{tensor}.offset")
        pieces.append((operator("Sub", [source, offset.name], f"{tensor}.centred"), [offset]))
        source = f"{tensor}.centred"
    pieces.append((operator("QuantizeLinear", [source, scale, zero], f"{tensor}.q"), parameters))
    pieces.append((operator("DequantizeLinear", [f"{tensor}.q", scale, zero], f"{tensor}.dq"), []))
    if quantiser.offset is None:
        return f"{tensor}.dq"
    pieces.append((operator("Add", [f"{tensor}.dq", offset.name], f"{tensor}.rounded"), []))
    return f"{tensor}.rounded"


def integer_convolution(node, names, pieces):
    """Adds the dequantisation of its weights; returns the convolution that reads them."""
    q, scale = quantise_weights(node.weight)
    name = f"{node.output}.weight"
    constants = [numpy_helper.from_array(q, f"{name}.q"), numpy_helper.from_array(scale, f"{name}.scale"),
                 numpy_helper.from_array(np.zeros(len(q), np.int8), f"{name}.zero_point")]
    pieces.append((operator("DequantizeLinear", [c.name for c in constants], f"{name}.dq", axis=0), constants))
    bias = numpy_helper.from_array(node.bias.astype(np.float32), f"{node.output}.bias")
    source = names.get(node.inputs[0], node.inputs[0])
    return operator("Conv", [source, f"{name}.dq", bias.name], node.output, **node.attributes), [bias]


def operator(kind, operands, result, **attributes):
    return helper.make_node(kind, operands, [result], name=f"{kind.lower()}:{result}", **attributes)
