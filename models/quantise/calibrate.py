"""What is measured on pictures: the range of each channel, and how far the means drift once everything is rounded."""

import pathlib
import tempfile

import numpy as np
import onnx
from onnxruntime.quantization.calibrate import CalibrationDataReader, MinMaxCalibrater

from .network import ACTIVATIONS, Node, run_node, session
from .recipe import quantise_weights
from .rounding import fit_weights, fits


class Inputs(CalibrationDataReader):
    """Hands prepared inputs to onnxruntime's calibrator, one by one."""

    def __init__(self, name, inputs):
        self.name, self.inputs = name, iter(inputs)

    def get_next(self):
        value = next(self.inputs, None)
        return None if value is None else {self.name: value}


class ChannelRanges(MinMaxCalibrater):
    """onnxruntime's min-max calibrator on one thread."""

    def create_inference_session(self):
        self.infer_session = session(onnx.load(self.augmented_model_path))


def channel_ranges(network, inputs):
    """{tensor: (least, greatest)} of each channel over all inputs."""
    with tempfile.TemporaryDirectory() as folder:
        plain, augmented = (pathlib.Path(folder) / name for name in ("float.onnx", "augmented.onnx"))
        onnx.save(onnx.shape_inference.infer_shapes(network.model()), plain)
        kinds = sorted({"Conv", "Add"} | ACTIVATIONS)
        calibrator = ChannelRanges(plain, kinds, str(augmented), per_channel=True)
        calibrator.augment_graph()
        calibrator.create_inference_session()
        calibrator.collect_data(Inputs(network.input.name, inputs))
        data = calibrator.compute_data().data
    return {tensor: (found.range_value[0].ravel(), found.range_value[1].ravel()) for tensor, found in data.items()}


def correct_biases(plan, quantisers, batch, last, fit_rounding=False):
    """Moves each bias, first to last, so that the mean of every channel is that of the float network; in place.

    Rounding weights and activations shifts means, and the shifts add up over fifty layers. Each layer is corrected with all before
    it rounded and corrected already. `batch`: N x C x H x W. `last`: also those that make the outputs, which is wrong for a detector:
    the mean over its cells is the background's, not the faces'. `fit_rounding`: the weights first, to what they read.
    """
    network = plan.network
    integers = {c.output for c in plan.convolutions()}
    # Each tensor as the float network has it, and as it is with everything before it rounded.
    exact = {network.input.name: batch}
    rounded = {network.input.name: batch}
    if network.input.name in quantisers:
        rounded[network.input.name] = quantisers[network.input.name](batch)
    last_reader = {t: i for i, node in enumerate(network.nodes) for t in node.inputs}
    for i, node in enumerate(network.nodes):
        if node.op == "Conv":
            float_node = Node("Conv", node.inputs, node.outputs, node.attributes, {1: node.weight, 2: node.bias})
            exact[node.output], = run_node(float_node, [exact[node.inputs[0]]])
            weight = node.weight
            if node.output in integers:
                if fit_rounding and fits(node):
                    node.weight = weight = fit_weights(node, rounded[node.inputs[0]])
                q, scale = quantise_weights(weight)
                weight = q * scale[:, None, None, None].astype(np.float64)
            made, = run_node(Node("Conv", node.inputs, node.outputs, node.attributes, {1: weight, 2: node.bias}),
                             [rounded[node.inputs[0]]])
            shift = np.zeros(len(node.bias))
            if last or plan.leads_to_integers(node.output):
                shift += (made.astype(np.float64) - exact[node.output]).mean((0, 2, 3)) + residual_shift(network, node, exact, rounded)
            node.bias = node.bias - shift
            rounded[node.output] = made - shift.astype(np.float32)[None, :, None, None]
        else:
            for values in (exact, rounded):
                values.update(zip(node.outputs, run_node(node, [values[t] for t in node.inputs])))
        for tensor in node.outputs:
            if tensor in quantisers:
                rounded[tensor] = quantisers[tensor](rounded[tensor])
        for tensor in [t for t in exact if last_reader.get(t, -1) <= i]:
            del exact[tensor], rounded[tensor]


def residual_shift(network, node, exact, rounded):
    """How far the mean of what is added to the convolution's output has moved: corrected along with it."""
    readers = network.readers(node.output)
    if len(readers) != 1 or readers[0].op != "Add":
        return 0.0
    other = next(t for t in readers[0].inputs if t != node.output)
    if other not in exact:
        return 0.0  # not yet there: it is corrected itself
    return (rounded[other].astype(np.float64) - exact[other]).mean((0, 2, 3))
