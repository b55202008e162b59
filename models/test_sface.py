"""Tests of the conversion of SFace and of the folder that is made around it; no download, no pictures needed.

    python -m unittest models/test_sface.py
"""

import hashlib
import pathlib
import sys
import tempfile
import tomllib
import unittest
from unittest import mock

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import blocked  # noqa: E402
import convert_sface  # noqa: E402
import sface_folder  # noqa: E402
from quantise.build import prepare, quantise  # noqa: E402
from quantise.card import Card  # noqa: E402
from quantise.network import Network, Node, session  # noqa: E402
from quantise.recipe import Steps, quantise_weights  # noqa: E402
from quantise.rounding import covariances, fit_weights  # noqa: E402
from quantise.simplify import simplify  # noqa: E402

RANDOM = np.random.default_rng(7)


def small(channels=4, dimension=6):
    """A network of SFace's make, its weights in blocks, for pictures of 8x8 px."""
    nodes, constants = [], {}

    def constant(name, values):
        constants[name] = np.asarray(values)
        return name

    def weights(name, shape):
        """As the Zoo has it: a matrix with blocks of two along its second axis, reshaped."""
        flat = (shape[0], int(np.prod(shape[1:])))
        blocks = -(-flat[1] // 2)
        constant(f"{name}_q", RANDOM.integers(-127, 128, flat).astype(np.int8))
        constant(f"{name}_s", RANDOM.uniform(0.002, 0.01, (flat[0], blocks)).astype(np.float32))
        constant(f"{name}_z", RANDOM.integers(-3, 4, (flat[0], blocks)).astype(np.int8))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_s", f"{name}_z"], [f"{name}_d"], axis=1, block_size=2))
        nodes.append(helper.make_node("Reshape", [f"{name}_d", constant(f"{name}_shape", np.array(shape, np.int64))], [name]))
        return name

    def batch_norm(source, width, result):
        values = [RANDOM.uniform(0.5, 1.5, width), RANDOM.normal(size=width), RANDOM.normal(size=width), RANDOM.uniform(0.5, 2, width)]
        names = [constant(f"{result}_{i}", v.astype(np.float32)) for i, v in enumerate(values)]
        nodes.append(helper.make_node("BatchNormalization", [source, *names], [result], epsilon=1e-3))

    nodes.append(helper.make_node("Sub", ["data", constant("mean", np.array([127.5], np.float32))], ["less"]))
    nodes.append(helper.make_node("Mul", ["less", constant("factor", np.array([0.0078125], np.float32))], ["scaled"]))
    nodes.append(helper.make_node("Conv", ["scaled", weights("w1", [channels, 3, 3, 3])], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]))
    batch_norm("c1", channels, "b1")
    slopes = constant("slopes", RANDOM.uniform(-0.5, 0.5, (channels, 1, 1)).astype(np.float32))
    nodes.append(helper.make_node("PRelu", ["b1", slopes], ["a1"]))
    batch_norm("a1", channels, "b2")
    ratio = helper.make_node("Constant", [], ["ratio"], value=numpy_helper.from_array(np.array(0.4, np.float32)))
    nodes += [ratio, helper.make_node("Dropout", ["b2", "ratio"], ["kept"]), helper.make_node("Flatten", ["kept"], ["flat"])]
    constant("fc_q", RANDOM.integers(-127, 128, (dimension, channels * 16)).astype(np.int8))
    constant("fc_s", RANDOM.uniform(0.002, 0.01, (dimension, channels * 8)).astype(np.float32))
    nodes.append(helper.make_node("DequantizeLinear", ["fc_q", "fc_s"], ["fc"], axis=1, block_size=2))
    bias = constant("fc_bias", RANDOM.normal(size=dimension).astype(np.float32))
    nodes.append(helper.make_node("Gemm", ["flat", "fc", bias], ["pre"], transB=1))
    batch_norm("pre", dimension, "fc1")
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)  # noqa: E731
    graph = helper.make_graph(nodes, "small", [value("data", [1, 3, 8, 8])], [value("fc1", [1, dimension])],
                              [numpy_helper.from_array(v, n) for n, v in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def by_hand(model, picture):
    """What the blocks stand for, one weight after the other, run by onnxruntime."""
    graph = onnx.ModelProto.FromString(model.SerializeToString()).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in [n for n in graph.node if n.op_type == "DequantizeLinear"]:
        q, scale, *zero = (constants[name] for name in node.input)
        values = np.empty(q.shape, np.float32)
        for row, column in np.ndindex(q.shape):
            offset = int(zero[0][row, column // 2]) if zero else 0
            values[row, column] = (int(q[row, column]) - offset) * scale[row, column // 2]
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return session(plain).run(None, {"data": picture})[0].ravel()


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def picture():
    return RANDOM.integers(0, 256, (1, 3, 8, 8)).astype(np.float32)


class Conversion(unittest.TestCase):
    def convert(self, model):
        # The check within is for SFace's size of picture.
        with mock.patch.object(convert_sface, "compare"):
            return convert_sface.convert(model.SerializeToString())

    def test_it_computes_what_the_blocks_stand_for(self):
        model = small()
        made = self.convert(model)
        for _ in range(5):
            value = picture()
            np.testing.assert_allclose(session(made).run(None, {"data": value})[0].ravel(), by_hand(model, value), rtol=2e-4, atol=2e-4)

    def test_few_operators_are_left_and_the_normalisation_stays_inside(self):
        model = onnx.load_from_string(self.convert(small()))
        self.assertEqual([n.op_type for n in model.graph.node], ["Sub", "Conv", "PRelu", "Conv", "Flatten"])
        self.assertEqual([i.name for i in model.graph.input], ["data"])
        self.assertEqual([o.name for o in model.graph.output], ["fc1"])

    def test_the_same_bytes_twice(self):
        model = small()
        self.assertEqual(self.convert(model), self.convert(model))

    def test_a_conversion_that_goes_wrong_is_refused(self):
        value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 112, 112]) for n in ("data", "out")]
        models = [helper.make_model(helper.make_graph([helper.make_node(op, ["data"], ["out"])], op, value[:1], value[1:]),
                                    opset_imports=[helper.make_opsetid("", 13)], ir_version=8) for op in ("Identity", "Sqrt")]
        convert_sface.compare(models[0], models[0])
        with self.assertRaises(SystemExit):
            convert_sface.compare(*models)


class Quantising(unittest.TestCase):
    """On the small network: its tail holds most of the weights and its pixels are normalised inside."""

    def card(self, folder):
        path = pathlib.Path(folder) / "small.onnx"
        with mock.patch.object(convert_sface, "compare"):
            path.write_bytes(convert_sface.convert(small(8).SerializeToString()))
        return Card("small", path, "recogniser", "RGB", (0.0, 0.0, 0.0), 1.0)

    def test_all_of_it_runs_on_integers_that_pixels_are_without_rounding(self):
        with tempfile.TemporaryDirectory() as folder:
            card = self.card(folder)
            pictures = RANDOM.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
            for steps in (Steps(), Steps(fit_rounding=True, zero_points=True)):
                made = quantise(card, prepare(card, pictures), steps)
                graph = onnx.load_from_string(made).graph
                constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
                convolutions = [n for n in graph.node if n.op_type == "Conv"]
                self.assertEqual(len(convolutions), 2)
                self.assertFalse({n.input[1] for n in convolutions} & constants.keys(), "a weight in float")
                # data - 128 is the integer: scale 1, zero point 0.
                less, quantised = graph.node[0], graph.node[1]
                self.assertEqual((less.op_type, quantised.op_type), ("Sub", "QuantizeLinear"))
                self.assertEqual([np.unique(constants[n]).tolist() for n in (less.input[1], *quantised.input[1:])], [[128.0], [1.0], [0]])
                value = card.inputs(pictures[:4])
                exact, rounded = (np.stack([session(m).run(None, {"data": v[None]})[0].ravel() for v in value]) for m in (card.bytes, made))
                self.assertGreater(min(cosine(a, b) for a, b in zip(exact, rounded)), 0.99)

    def test_a_normalisation_in_any_spelling_becomes_one_subtraction(self):
        conv = Node("Conv", ["n1"], ["out"], {}, {1: RANDOM.normal(size=(2, 3, 1, 1)), 2: np.zeros(2)})
        means = np.array([104.0, 117.0, 123.0], np.float32).reshape(3, 1, 1)
        values = [helper.make_tensor_value_info(*value) for value in (("data", TensorProto.FLOAT, [1, 3, 2, 2]),
                                                                      ("out", TensorProto.FLOAT, [1, 2, 2, 2]))]
        nodes = [Node("Add", ["data"], ["n0"], {}, {1: -means}), Node("Div", ["n0"], ["n1"], {}, {1: np.array(57.0, np.float32)}), conv]
        network = Network(nodes, values[0], values[1:])
        value = RANDOM.uniform(0, 255, (1, 3, 2, 2)).astype(np.float32)
        before, = session(network.model()).run(None, {"data": value})
        simplify(network)
        self.assertEqual([n.op for n in network.nodes], ["Sub", "Conv"])
        np.testing.assert_allclose(network.centre, means.ravel())
        np.testing.assert_allclose(session(network.model()).run(None, {"data": value})[0], before, rtol=1e-5, atol=1e-5)

    def test_fitted_weights_answer_plain_areas_better_than_nearest_ones(self):
        # Pictures that vary more from one to the other than within: exposed too much, or too little.
        values = (RANDOM.uniform(-127, 127, (8, 1, 1, 1)) + RANDOM.normal(size=(8, 3, 12, 12)) * 8).astype(np.float32)
        node = Node("Conv", ["x"], ["y"], {"pads": [1, 1, 1, 1]}, {1: RANDOM.normal(size=(6, 3, 3, 3)), 2: np.zeros(6)})
        q, scale = quantise_weights(node.weight)
        nearest, fitted = q * scale.astype(float)[:, None, None, None], fit_weights(node, values)
        together = covariances(node, values)[0]

        def error(weight):
            off = (weight - node.weight).reshape(6, -1)
            return np.einsum("ri,ij,rj->r", off, together, off)

        self.assertTrue((error(fitted) <= error(nearest) + 1e-9).all())
        self.assertLess(error(fitted).sum(), 0.5 * error(nearest).sum())
        self.assertTrue((np.abs(fitted - node.weight) <= scale[:, None, None, None] * 1.0001).all(), "within a step")
        again, same = quantise_weights(fitted)
        np.testing.assert_allclose(same, scale, rtol=1e-6)
        np.testing.assert_allclose(again * scale.astype(float)[:, None, None, None], fitted, atol=1e-6)


class Folder(unittest.TestCase):
    def complete(self, folder, data):
        out = pathlib.Path(folder)
        (out / "sface-2021dec.onnx").write_bytes(data)
        return sface_folder.complete(out, None, None, False), tomllib.loads((out / "catalogue.toml").read_text(encoding="utf-8"))

    def test_it_holds_what_its_catalogue_says_and_sface_is_the_default(self):
        with tempfile.TemporaryDirectory() as folder:
            code, catalogue = self.complete(folder, b"a model")
            cards = {card["id"]: card for card in catalogue["model"]}
            self.assertEqual((code, catalogue["format"]), (0, 1))
            for card in cards.values():
                data = pathlib.Path(folder, card["file"]).read_bytes()
                self.assertEqual((len(data), hashlib.sha256(data).hexdigest()), (card["bytes"], card["sha256"]), card["id"])
                self.assertTrue(pathlib.Path(folder, card["licence_file"]).is_file(), card["id"])
            self.assertEqual([c["id"] for c in cards.values() if c["role"] == "recogniser" and c.get("default")], ["sface"])
            self.assertEqual([c["id"] for c in cards.values() if c["role"] == "detector" and c.get("default")], ["yunet-2023mar"])
            self.assertNotIn("sface-int8", cards, "there is no such file")

    def test_another_file_than_the_pinned_one_is_an_error_when_checked(self):
        with tempfile.TemporaryDirectory() as folder:
            self.complete(folder, b"a model")
            self.assertEqual(sface_folder.complete(pathlib.Path(folder), None, None, True), 1)


if __name__ == "__main__":
    unittest.main()
