"""SFace as the OpenCV Zoo ships it (weights in blocks of 8-bit integers) to a plain float graph of few, large operators.

The input stays what it is in the Zoo's file, RGB from 0 to 255: of the normalisation (x - 127.5) / 128 the subtraction remains, the
factor goes into the first convolution. BatchNormalization is folded into what stands beside it, the fully connected layer behind the
flattened feature maps becomes the convolution that it is, and the Dropout of the training goes. Before it writes, the script holds
the result beside the graph as it came.
"""

import sys

import numpy as np
import onnx

import blocked
from quantise.network import Network, session
from quantise.simplify import simplify

LEAST_COSINE = 0.99999


def convert(data):
    """The bytes of the float model."""
    graph = onnx.load_from_string(data).graph
    nodes, constants, inputs = blocked.fold(graph)
    plain = blocked.assemble("sface", without_dropout(nodes), constants, inputs, graph.output)
    onnx.checker.check_model(plain, full_check=True)
    made = simplify(Network.read(plain.SerializeToString())).model()
    made.producer_name, made.graph.name = plain.producer_name, plain.graph.name
    compare(plain, made)
    return made.SerializeToString(deterministic=True)


def without_dropout(nodes):
    """The nodes without Dropout, which hands its input on where nothing is trained, and without its ratio."""
    stands_for = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Dropout"}
    ratios = {tensor for node in nodes if node.op_type == "Dropout" for tensor in node.input[1:]}
    left = [node for node in nodes if node.op_type != "Dropout" and not ratios.intersection(node.output)]
    for node in left:
        for place, tensor in enumerate(node.input):
            node.input[place] = stands_for.get(tensor, tensor)
    return left


def compare(plain, made):
    """Refuses a result whose embeddings differ from those of the graph as it came."""
    random = np.random.default_rng(1)
    for _ in range(4):
        picture = random.integers(0, 256, (1, 3, 112, 112)).astype(np.float32)
        before, after = (session(model).run(None, {"data": picture})[0].ravel() for model in (plain, made))
        cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
        if not cosine >= LEAST_COSINE:
            sys.exit(f"the simplified SFace differs from the Zoo's graph: a cosine of {cosine}, nothing was written")
