"""Exact rewritings of a float network that leave fewer and larger convolutions."""

import math

import numpy as np

from .network import Node, shapes


def simplify(network):
    """Applies them all, in place."""
    centre_input(network)
    fold_batch_norm(network)
    matrix_products_to_convolutions(network)
    fold_batch_norm_forward(network)
    merge_linear_pairs(network)
    merge_heads(network)
    return network


def centre_input(network):
    """What normalises the input, (x - a) * b in any spelling, to one Sub: the factor goes into the convolutions behind it.

    The Sub stays, as it says which value of the input the padding's 0 stands for.
    """
    chain, tensor = [], network.input.name
    factor, shift = np.float64(1), np.float64(0)  # what is read is input * factor + shift
    while True:
        readers = network.readers(tensor)
        step = scalar_step(readers[0]) if len(readers) == 1 and not network.is_output(tensor) else None
        if step is None:
            break
        factor, shift = factor * step[0], shift * step[0] + step[1]
        chain.append(readers[0])
        tensor = readers[0].output
    if not chain or not readers or any(r.op != "Conv" or r.attributes.get("group", 1) != 1 for r in readers):
        return
    if network.is_output(tensor) or not np.all(factor):
        return
    for conv in readers:
        conv.weight = conv.weight * np.broadcast_to(factor.reshape(-1), conv.weight.shape[1])[None, :, None, None]
    centre = -shift / factor
    for node in chain:
        network.nodes.remove(node)
    if np.any(centre):
        network.nodes.insert(0, Node("Sub", [network.input.name], [tensor], {}, {1: centre.astype(np.float32)}))
    else:
        for conv in readers:
            conv.inputs[0] = network.input.name


def scalar_step(node):
    """(factor, shift) of a node that multiplies by or adds a constant, one value or one a channel; None for any other."""
    if node.op not in {"Sub", "Add", "Mul", "Div"} or len(node.constants) != 1:
        return None
    (place, value), = node.constants.items()
    value = value.astype(np.float64)
    by_channel = value.ndim in (3, 4) and value.shape[-2:] == (1, 1) and value.size == value.shape[-3]
    if not (value.size == 1 or by_channel) or (place == 0 and node.op in {"Sub", "Div"}):
        return None
    value = value.reshape(()) if value.size == 1 else value.reshape(-1, 1, 1)
    return {"Sub": (1.0, -value), "Add": (1.0, value), "Mul": (value, 0.0), "Div": (1 / value, 0.0)}[node.op]


def fold_batch_norm(network):
    """Conv or Gemm, BatchNormalization to Conv or Gemm."""
    for node in list(network.nodes):
        if node.op != "BatchNormalization":
            continue
        product = network.producer(node.inputs[0])
        if product is None or not (product.op == "Conv" or plain_gemm(product)) or len(network.readers(product.output)) != 1:
            continue
        factor, shift = scaling(node)
        along = (-1, 1, 1, 1) if product.op == "Conv" else (-1, 1) if product.attributes.get("transB", 0) else (1, -1)
        product.constants[1] = product.constants[1] * factor.reshape(along)
        product.constants[2] = product.constants.get(2, 0.0) * factor + shift
        product.outputs = node.outputs[:1]
        network.nodes.remove(node)


def fold_batch_norm_forward(network):
    """BatchNormalization, Conv to Conv, where no padding stands for the 0 in between."""
    for node in list(network.nodes):
        if node.op != "BatchNormalization" or network.is_output(node.output):
            continue
        readers = network.readers(node.output)
        if not readers or not all(reader.unpadded for reader in readers):
            continue
        factor, shift = scaling(node)
        for conv in readers:
            # Correctly rounded sums: the same on every processor.
            conv.bias = conv.bias + [math.fsum((kernel * shift[:, None, None]).ravel()) for kernel in conv.weight]
            conv.weight = conv.weight * factor[None, :, None, None]
            conv.inputs[0] = node.inputs[0]
        network.nodes.remove(node)


def scaling(node):
    """(factor, shift), one a channel, of a BatchNormalization."""
    gamma, beta, mean, variance = (node.constants[i].astype(np.float64) for i in range(1, 5))
    factor = gamma / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return factor, beta - mean * factor


def plain_gemm(node):
    """Whether it is a matrix product by a constant, plus a constant: a fully connected layer."""
    attributes = node.attributes
    return (node.op == "Gemm" and len(node.inputs) == 1 and 1 in node.constants and not attributes.get("transA", 0)
            and attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0)


def matrix_products_to_convolutions(network):
    """Flatten, Gemm to Conv, Flatten: a fully connected layer is a convolution as large as the feature maps it reads."""
    known = shapes(network)
    for flatten in list(network.nodes):
        readers = network.readers(flatten.output)
        if flatten.op != "Flatten" or flatten.attributes.get("axis", 1) != 1 or network.is_output(flatten.output):
            continue
        channels, rows, columns = known.get(flatten.inputs[0], (0, 0, 0, 0))[1:] or (0, 0, 0)
        if len(readers) != 1 or not plain_gemm(readers[0]) or not channels * rows * columns:
            continue
        gemm, = readers
        weight = gemm.constants[1].astype(np.float64)
        weight = (weight if gemm.attributes.get("transB", 0) else weight.T).reshape(-1, channels, rows, columns)
        bias = np.broadcast_to(gemm.constants.get(2, np.zeros(1)).astype(np.float64).reshape(-1), len(weight)).copy()
        maps = f"{gemm.output}.maps"
        conv = Node("Conv", flatten.inputs, [maps], {"kernel_shape": [rows, columns]}, {1: weight, 2: bias})
        place = network.nodes.index(gemm)
        network.nodes[place:place + 1] = [conv, Node("Flatten", [maps], gemm.outputs, {"axis": 1})]
        network.nodes.remove(flatten)


def merge_linear_pairs(network):
    """Two 1x1 convolutions with nothing between them are one: fewer steps to round at, and less to compute when the first is not
    a bottleneck."""
    for second in network.convolutions():
        first = network.producer(second.inputs[0])
        if first is None or not (first.pointwise and second.pointwise) or set(second.attributes.get("strides", [1])) != {1}:
            continue
        if len(network.readers(first.output)) != 1 or network.is_output(first.output):
            continue
        (rows, middle, *_), columns = second.weight.shape, first.weight.shape[1]
        if rows * columns > middle * (rows + columns):
            continue  # a bottleneck: the product is larger than the factors
        left, right = second.weight[:, :, 0, 0], first.weight[:, :, 0, 0]
        second.bias = left @ first.bias + second.bias
        second.weight = (left @ right)[:, :, None, None]
        second.attributes = second.attributes | {"strides": first.attributes.get("strides", [1, 1])}
        second.inputs = first.inputs
        network.nodes.remove(first)


def merge_heads(network):
    """The heads of a detector that read one tensor, each a 1x1 and then a depthwise convolution, become one such pair, split behind
    it. A 1x1 convolution to one channel keeps no SIMD lane busy; sixteen do."""
    for tensor in [t for node in network.nodes for t in node.outputs]:
        pairs = []
        for first in network.readers(tensor):
            behind = network.readers(first.output)
            if first.pointwise and len(behind) == 1 and behind[0].depthwise:
                pairs.append((first, behind[0]))
        pairs = [p for p in pairs if p[0].geometry == pairs[0][0].geometry and p[1].geometry == pairs[0][1].geometry]
        if len(pairs) < 2:
            continue
        (first, second), rest = pairs[0], pairs[1:]
        outputs = [s.output for _, s in pairs]
        sizes = np.array([len(s.weight) for _, s in pairs], np.int64)
        for merged, parts in ((first, [f for f, _ in pairs]), (second, [s for _, s in pairs])):
            merged.weight = np.concatenate([p.weight for p in parts])
            merged.bias = np.concatenate([p.bias for p in parts])
        merged_name = f"{tensor}.heads"
        second.attributes = second.attributes | {"group": int(sizes.sum())}
        second.outputs = [merged_name]
        for pair in rest:
            for node in pair:
                network.nodes.remove(node)
        split = Node("Split", [merged_name], outputs, {"axis": 1}, {1: sizes})
        network.nodes.insert(network.nodes.index(second) + 1, split)
