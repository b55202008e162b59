"""Weights in blocks of 8-bit integers, as the OpenCV Zoo's int8bq files keep them, multiplied out to plain floats.

Neither tract nor onnxruntime runs blocked dequantisation. Each constant is worked out once, (q - zero point) * scale with the scale
repeated along its axis, and stored as float.
"""

import numpy as np
from onnx import helper, numpy_helper

OPSET = 13  # the newest that the remaining operators need


def dequantise(node, q, scale, zero_point):
    """DequantizeLinear on constants, blocked (opset 21), per axis or per tensor."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
    if block:
        length = q.shape[axis]
        scale, zero_point = (np.repeat(v, block, axis=axis).take(range(length), axis=axis) for v in (scale, zero_point))
    elif scale.ndim == 1 and q.ndim > 1:
        along = [-1 if i == axis else 1 for i in range(q.ndim)]
        scale, zero_point = scale.reshape(along), zero_point.reshape(along)
    return ((q.astype(np.float32) - zero_point.astype(np.float32)) * scale.astype(np.float32)).astype(np.float32)


def fold(graph):
    """(the nodes that are left, every constant by its name, the inputs that are left) of a graph.

    Weights may be listed as inputs too, also those that nothing reads any more.
    """
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    folded, kept = set(), []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            q, scale = (constants[name] for name in node.input[:2])
            zero_point = constants[node.input[2]] if len(node.input) > 2 else np.zeros_like(scale)
            constants[node.output[0]] = dequantise(node, q, scale, zero_point)
            folded.add(node.output[0])
        elif node.op_type == "Reshape" and node.input[0] in folded:
            shape = constants[node.input[1]]
            constants[node.output[0]] = constants[node.input[0]].reshape(shape)
            folded.add(node.output[0])
        else:
            kept.append(node)
    read = {tensor for node in kept for tensor in node.input} - constants.keys()
    return kept, constants, [i for i in graph.input if i.name in read]


def assemble(name, nodes, constants, inputs, outputs):
    """A model of these nodes, with the constants that they read."""
    used = sorted({tensor for node in nodes for tensor in node.input if tensor in constants})
    initialisers = [numpy_helper.from_array(np.ascontiguousarray(constants[tensor]), tensor) for tensor in used]
    return helper.make_model(
        helper.make_graph(nodes, name, inputs, outputs, initialisers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=7,
        producer_name="doorward models/build.py",
    )
