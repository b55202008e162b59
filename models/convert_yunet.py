"""YuNet as the OpenCV Zoo ships it (weights in blocks of 8-bit integers) to a plain float graph for any input size.

Shapes written for 640x640 are dropped, so that every multiple of 32 works.
"""

import onnx

import blocked


def convert(data):
    """The bytes of the float model."""
    graph = onnx.load_from_string(data).graph
    nodes, constants, inputs = blocked.fold(graph)
    for value in inputs:
        for axis, symbol in ((2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[axis].dim_param = symbol
    for value in graph.output:
        value.type.tensor_type.shape.dim[1].dim_param = f"cells_{value.name.rpartition('_')[2]}"
    made = blocked.assemble("yunet", nodes, constants, inputs, graph.output)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString(deterministic=True)
