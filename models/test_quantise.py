"""Tests of the quantiser on the float models of this folder; no pictures needed.

    python -m unittest models/test_quantise.py
"""

import pathlib
import sys
import unittest
from unittest import mock

import numpy as np
import onnx
from onnx import numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from quantise.build import BIAS_PICTURES, global_tail, prepare, quantise  # noqa: E402
from quantise.card import cards  # noqa: E402
from quantise.crops import TEMPLATE, align  # noqa: E402
from quantise.network import Network, session  # noqa: E402
from quantise.recipe import Plan, Steps, equalise  # noqa: E402
from quantise.simplify import simplify  # noqa: E402

RECOGNISER, DETECTOR = cards(HERE, ["mobilefacenet-arcface-192", "yunet-2023mar"])


def pictures(count, side):
    """Smooth random pictures, count x side x side x RGB."""
    random = np.random.default_rng(3)
    coarse = random.uniform(0, 255, (count, 8, 8, 3))
    step = -(-side // 8)
    return coarse.repeat(step, 1).repeat(step, 2)[:, :side, :side].astype(np.uint8)


def run(model, value):
    running = session(model)
    return dict(zip([o.name for o in running.get_outputs()], running.run(None, {running.get_inputs()[0].name: value})))


class Rewriting(unittest.TestCase):
    """What is said to be exact is."""

    def compare(self, card, side, rewritten):
        value = card.inputs(pictures(1, side))
        before, after = run(card.bytes, value), run(rewritten, value)
        self.assertEqual(list(before), list(after))
        for name in before:
            scale = np.abs(before[name]).max()
            np.testing.assert_allclose(after[name], before[name], rtol=0, atol=2e-5 * max(scale, 1), err_msg=name)

    def test_simplifying_changes_no_output(self):
        for card, side, convolutions in ((RECOGNISER, 112, 50), (DETECTOR, 96, 35)):
            network = simplify(Network.read(card.bytes))
            self.assertEqual(len(network.convolutions()), convolutions)
            self.compare(card, side, network.model())

    def test_equalising_changes_no_output(self):
        for card, side in ((RECOGNISER, 112), (DETECTOR, 96)):
            make, ranges, _ = prepare(card, pictures(4, side))
            network = make()
            untouched = [c.weight.copy() for c in network.convolutions()]
            equalise(Plan(network, global_tail(network)), ranges, Steps())
            self.assertTrue(any(not np.allclose(a, c.weight) for a, c in zip(untouched, network.convolutions())))
            self.compare(card, side, network.model())


class Files(unittest.TestCase):
    """The form that the engine's fusion relies on."""

    def test_the_committed_files_have_it(self):
        for card in (RECOGNISER, DETECTOR):
            with self.subTest(card.id):
                self.check(onnx.load(HERE / f"{card.path.stem}-int8.onnx"), card)

    def check(self, model, card):
        self.assertEqual([o.domain for o in model.opset_import], [""])
        constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        made_by = {t: node for node in model.graph.node for t in node.output}
        integers = 0
        for conv in (n for n in model.graph.node if n.op_type == "Conv"):
            if conv.input[1] in constants:
                continue  # the float tail
            integers += 1
            weight = made_by[conv.input[1]]
            q, scale = constants[weight.input[0]], constants[weight.input[1]]
            self.assertTrue(q.dtype == np.int8 and q.min() >= -127 and np.abs(q).reshape(len(q), -1).max(1).min() == 127)
            self.assertTrue(np.isfinite(scale).all() and (scale > 0).all())
            # Offsets are in the biases: what an engine of integers looks for stands there bare.
            reads = made_by[conv.input[0]].op_type
            self.assertIn(reads, {"DequantizeLinear"} if card.role == "recogniser" else {"DequantizeLinear", "MaxPool", "Add"}, conv.name)
        self.assertEqual(integers, {"recogniser": 48, "detector": 35}[card.role])

    def test_the_input_keeps_every_pixel(self):
        levels = np.arange(256, dtype=np.uint8)
        for card in (RECOGNISER, DETECTOR):
            value = card.inputs(np.repeat(levels[None, None, :, None], 3, 3))
            np.testing.assert_allclose(card.pixels()(value), value, atol=1e-6)


class Recipe(unittest.TestCase):
    def test_it_stays_near_the_float_network(self):
        prepared = prepare(RECOGNISER, pictures(8, 112))
        value = prepared[2][:1]
        self.assertGreaterEqual(BIAS_PICTURES, 1)
        exact = run(RECOGNISER.bytes, value)["embedding"][0]

        def cosine(steps):
            made = run(quantise(RECOGNISER, prepared, steps), value)["embedding"][0]
            return exact @ made / np.linalg.norm(exact) / np.linalg.norm(made)

        plain = Steps(equalise_depthwise=False, equalise_pointwise=False, offsets=False, correct_bias=False)
        self.assertGreater(cosine(Steps()), 0.99)
        self.assertGreater(cosine(Steps()), cosine(plain))

    def test_offsets_in_the_biases_are_offsets_behind_the_rounding(self):
        prepared = prepare(RECOGNISER, pictures(8, 112))
        value = prepared[2][:1]
        carried = quantise(RECOGNISER, prepared)
        with mock.patch("quantise.emit.carries_offset", return_value=False):
            spelled_out = quantise(RECOGNISER, prepared)
        self.assertGreater(len(spelled_out), len(carried))
        made, expected = (run(file, value)["embedding"][0] for file in (carried, spelled_out))
        # The order of a sum may move a rounding, and the padding of the first convolution is off by half a level.
        self.assertGreater(made @ expected / np.linalg.norm(made) / np.linalg.norm(expected), 0.998)

    def test_the_same_bytes_twice(self):
        made = [quantise(DETECTOR, prepare(DETECTOR, pictures(4, 96))) for _ in range(2)]
        self.assertEqual(*made)


class Alignment(unittest.TestCase):
    def test_a_face_on_the_template_is_not_moved(self):
        picture = pictures(1, 112)[0]
        np.testing.assert_array_equal(align(picture, TEMPLATE), picture)

    def test_a_shifted_face_is_brought_there_with_black_beside_it(self):
        picture = np.full((50, 50, 3), 255, np.uint8)
        crop = align(picture, TEMPLATE - 10.5)[..., 0]
        # As src/align/warp.rs has it: the picture's edge fades over one pixel.
        self.assertEqual([int(crop[30, x]) for x in (9, 10, 30, 60, 61)], [0, 128, 255, 128, 0])


if __name__ == "__main__":
    unittest.main()
