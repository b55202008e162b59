"""Exact rewritings of a float network that leave fewer and larger convolutions."""

import numpy as np


def simplify(network):
    """Applies them all, in place."""
    fold_batch_norm(network)
    merge_linear_pairs(network)
    merge_heads(network)
    return network


def fold_batch_norm(network):
    """Conv, BatchNormalization to Conv."""
    for node in list(network.nodes):
        if node.op != "BatchNormalization":
            continue
        conv = network.producer(node.inputs[0])
        if conv is None or conv.op != "Conv" or len(network.readers(conv.output)) != 1:
            continue
        gamma, beta, mean, variance = (node.constants[i].astype(np.float64) for i in range(1, 5))
        factor = gamma / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
        conv.weight = conv.weight * factor[:, None, None, None]
        conv.bias = (conv.bias - mean) * factor + beta
        conv.outputs = node.outputs[:1]
        network.nodes.remove(node)


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
        split = type(first)("Split", [merged_name], outputs, {"axis": 1}, {1: sizes})
        network.nodes.insert(network.nodes.index(second) + 1, split)
