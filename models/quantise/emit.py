"""A quantised network as a plain ONNX file: Q/DQ where the recipe rounds, weights as i8, standard operators only."""

import numpy as np
from onnx import helper, numpy_helper

from .network import assemble
from .recipe import Quantiser, quantise_weights


def emit(plan, quantisers):
    """The ONNX model with QuantizeLinear and DequantizeLinear behind each tensor that `quantisers` names.

    Where the biases behind a tensor can carry its offset, nothing stands between its DequantizeLinear and the convolution:
    that is the pattern which engines of integers look for.
    """
    network = plan.network
    integers = {c.output for c in plan.convolutions()}
    carried = {tensor: quantiser.offset for tensor, quantiser in quantisers.items() if carries_offset(plan, tensor, quantiser)}
    names, pieces = {}, []
    if network.input.name in quantisers:
        tensor = network.input.name
        names[tensor] = rounding(tensor, quantisers[tensor], tensor in carried, pieces)
    for node in network.nodes:
        if node is network.centring and node.output in carried:
            # Centre and offset in one subtraction: what is left of the input is its integer.
            names[node.output] = centred_rounding(node, quantisers[node.output], pieces)
            continue
        if node.output in integers:
            pieces.append(integer_convolution(node, names, bias_with_offsets(plan, node, carried), pieces))
        else:
            pieces.append(node.onnx(lambda tensor: names.get(tensor, tensor)))
        if node.output in quantisers:
            names[node.output] = rounding(node.output, quantisers[node.output], node.output in carried, pieces)
    return assemble(network, pieces)


def carries_offset(plan, tensor, quantiser):
    """Whether all that read the tensor make up for its offset by the bias of a convolution.

    Around a padded convolution the padding stands for the offset then. That is what the padding's 0 is rounded to if the offset
    is at most half a step, as that of pixels is.
    """
    if quantiser.offset is None:
        return False
    summed = [residual_of(plan, convolution) for convolution in plan.convolutions()]
    padding_fits = np.abs(quantiser.offset).max() <= quantiser.scale / 2

    def makes_up(node):
        if node.op == "Add":
            return tensor in summed
        return node in plan.convolutions() and node.attributes.get("group", 1) == 1 and (padding_fits or not node.padded)

    return all(makes_up(node) for node in plan.network.readers(tensor))


def residual_of(plan, convolution):
    """What is added to a convolution by the addition that alone reads it."""
    readers = plan.network.readers(convolution.output)
    if len(readers) != 1 or readers[0].op != "Add" or plan.network.is_output(convolution.output):
        return None
    others = [tensor for tensor in readers[0].inputs if tensor != convolution.output]
    return others[0] if len(others) == 1 else None


def bias_with_offsets(plan, convolution, carried):
    """The bias, with the offsets that its input and what is added behind it are read without."""
    bias = convolution.bias.astype(np.float64)
    if convolution.inputs[0] in carried:
        q, scale = quantise_weights(convolution.weight)
        bias = bias + (q.sum((2, 3), dtype=np.float64) @ np.broadcast_to(carried[convolution.inputs[0]], q.shape[1])) * scale
    return bias + carried.get(residual_of(plan, convolution), 0)


def rounding(tensor, quantiser, carried, pieces):
    """Adds [Sub,] QuantizeLinear, DequantizeLinear [, Add unless the offset is carried]; returns the name of what comes out."""
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
    if quantiser.offset is None or carried:
        return f"{tensor}.dq"
    pieces.append((operator("Add", [f"{tensor}.dq", offset.name], f"{tensor}.rounded"), []))
    return f"{tensor}.rounded"


def centred_rounding(centring, quantiser, pieces):
    """As `rounding` of what a Sub of the network makes, with an offset that is carried."""
    centre = centring.constants[1].astype(np.float64)
    from_input = Quantiser(quantiser.scale, quantiser.zero_point, (centre.reshape(-1) + quantiser.offset).astype(np.float32))
    return rounding(centring.inputs[0], from_input, True, pieces)


def integer_convolution(node, names, bias, pieces):
    """Adds the dequantisation of its weights; returns the convolution that reads them."""
    q, scale = quantise_weights(node.weight)
    name = f"{node.output}.weight"
    constants = [numpy_helper.from_array(q, f"{name}.q"), numpy_helper.from_array(scale, f"{name}.scale"),
                 numpy_helper.from_array(np.zeros(len(q), np.int8), f"{name}.zero_point")]
    pieces.append((operator("DequantizeLinear", [c.name for c in constants], f"{name}.dq", axis=0), constants))
    bias = numpy_helper.from_array(bias.astype(np.float32), f"{node.output}.bias")
    source = names.get(node.inputs[0], node.inputs[0])
    return operator("Conv", [source, f"{name}.dq", bias.name], node.output, **node.attributes), [bias]


def operator(kind, operands, result, **attributes):
    return helper.make_node(kind, operands, [result], name=f"{kind.lower()}:{result}", **attributes)
