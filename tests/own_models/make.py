"""Makes small recognisers of the families that people bring, with random weights, and what onnxruntime puts out for them.

    python -m venv .venv && .venv/bin/pip install -r tests/own_models/requirements.txt
    .venv/bin/python tests/own_models/make.py

Each file is written as its exporter writes it: the operators, the names, the version, and the habits that make files hard to
take. The weights mean nothing: the files show that a family loads and computes what onnxruntime does.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
PICTURES = ["obama-2012-aligned.png", "hopper-aligned.png"]


class Net:
    """A graph being written."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def tensor(self, name, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def normal(self, name, shape, spread):
        return self.tensor(name, (self.random.standard_normal(shape) * spread).astype(np.float32))

    def uniform(self, name, shape, low, high):
        return self.tensor(name, self.random.uniform(low, high, shape).astype(np.float32))

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x, name, inputs, outputs, kernel, stride, group=1, bias=False, **attributes):
        fan = inputs // group * kernel * kernel
        weight = self.normal(f"{name}_weight", (outputs, inputs // group, kernel, kernel), (2 / fan) ** 0.5)
        more = [self.normal(f"{name}_bias", (outputs,), 0.1)] if bias else []
        pads = {} if "auto_pad" in attributes else {"pads": [kernel // 2 if kernel < 7 else 0] * 4}
        return self.node(
            "Conv", [x, weight, *more], name, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group, **pads, **attributes
        )

    def norm(self, x, name, channels, gamma=True, **attributes):
        """A BatchNormalization; without gamma it is 1 throughout, as MXNet's fix_gamma makes it."""
        scale = (
            self.uniform(f"{name}_gamma", (channels,), 0.5, 1.5)
            if gamma
            else self.tensor(f"{name}_gamma", np.ones(channels, np.float32))
        )
        rest = [
            self.normal(f"{name}_beta", (channels,), 0.1),
            self.normal(f"{name}_moving_mean", (channels,), 0.1),
            self.uniform(f"{name}_moving_var", (channels,), 0.5, 1.5),
        ]
        return self.node("BatchNormalization", [x, scale, *rest], name, **attributes)

    def prelu(self, x, name, shape):
        return self.node("PRelu", [x, self.uniform(f"{name}_gamma", shape, -0.5, 0.8)], name)

    def model(self, opset, ir_version, source, output, target, producer, weights_as_inputs=False):
        inputs = [helper.make_tensor_value_info(source[0], TensorProto.FLOAT, source[1])]
        if weights_as_inputs:
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in self.weights]
        graph = helper.make_graph(
            self.nodes, "net", inputs, [helper.make_tensor_value_info(output, TensorProto.FLOAT, target)], self.weights
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name=producer)
        model.ir_version = ir_version
        return model


def insightface():
    """PyTorch, opset 11: IResNet with the batch open, a PRelu a channel, a tail of BatchNormalization, Gemm, BatchNormalization."""
    net = Net(1)
    x = net.prelu(net.norm(net.conv("input.1", "conv1", 3, 8, 3, 2), "bn1", 8, epsilon=1e-5), "prelu1", (8, 1, 1))
    for i, (inputs, outputs) in enumerate([(8, 12), (12, 16)]):
        name = f"layer{i}"
        y = net.norm(x, f"{name}.bn1", inputs, epsilon=1e-5)
        y = net.norm(net.conv(y, f"{name}.conv1", inputs, outputs, 3, 1), f"{name}.bn2", outputs, epsilon=1e-5)
        y = net.prelu(y, f"{name}.prelu", (outputs, 1, 1))
        y = net.norm(net.conv(y, f"{name}.conv2", outputs, outputs, 3, 2), f"{name}.bn3", outputs, epsilon=1e-5)
        short = net.norm(net.conv(x, f"{name}.down", inputs, outputs, 1, 2), f"{name}.down.bn", outputs, epsilon=1e-5)
        x = net.node("Add", [y, short], f"{name}.add")
    x = net.conv(net.norm(x, "bn2", 16, epsilon=1e-5), "reduce", 16, 2, 3, 2)
    x = net.node("Flatten", [x], "flatten", axis=1)
    weight = net.normal("fc.weight", (128, 98), 0.1)
    x = net.node("Gemm", [x, weight, net.normal("fc.bias", (128,), 0.1)], "fc", alpha=1.0, beta=1.0, transB=1)
    net.norm(x, "683", 128, gamma=False, epsilon=1e-5)
    return net.model(11, 6, ("input.1", ["None", 3, 112, 112]), "683", ["None", 128], "pytorch")


def mxnet(spatial=0, slopes_a_channel=False):
    """MXNet, opset 8, as in the ONNX model zoo: input `data`, weights listed as inputs, `spatial = 0` though the statistics are those
    of channels, slopes of one axis, Dropout, fix_gamma, the normalisation in the graph. `spatial` and `slopes_a_channel` say the
    same in the form that onnxruntime takes."""
    net = Net(2)
    old = {"epsilon": 2e-5, "momentum": 0.9, "spatial": spatial}
    shape = (lambda c: (c, 1, 1)) if slopes_a_channel else (lambda c: (c,))
    x = net.node("Sub", ["data", net.tensor("scalar_op1", np.array([127.5], np.float32))], "_minusscalar0")
    x = net.node("Mul", [x, net.tensor("scalar_op2", np.array([0.0078125], np.float32))], "_mulscalar0")
    x = net.norm(net.conv(x, "conv0", 3, 8, 3, 1, dilations=[1, 1]), "bn0", 8, gamma=False, **old)
    x = net.prelu(x, "relu0", shape(8))
    for i, (inputs, outputs) in enumerate([(8, 8), (8, 16)]):
        unit = f"stage{i + 1}_unit1"
        y = net.norm(x, f"{unit}_bn1", inputs, **old)
        y = net.norm(net.conv(y, f"{unit}_conv1", inputs, outputs, 3, 1, dilations=[1, 1]), f"{unit}_bn2", outputs, **old)
        y = net.prelu(y, f"{unit}_relu1", shape(outputs))
        y = net.norm(net.conv(y, f"{unit}_conv2", outputs, outputs, 3, 4, dilations=[1, 1]), f"{unit}_bn3", outputs, **old)
        short = net.norm(net.conv(x, f"{unit}_conv1sc", inputs, outputs, 1, 4, dilations=[1, 1]), f"{unit}_sc", outputs, **old)
        x = net.node("Add", [y, short], f"_plus{i}")
    x = net.norm(net.conv(x, "reduce", 16, 2, 1, 1), "bn1", 2, **old)
    x = net.node("Flatten", [net.node("Dropout", [x], "dropout0", ratio=0.4)], "flatten0")
    weight = net.normal("pre_fc1_weight", (160, 98), 0.1)
    x = net.node("Gemm", [x, weight, net.normal("pre_fc1_bias", (160,), 0.1)], "pre_fc1", alpha=1.0, beta=1.0, transA=0, transB=1)
    net.norm(x, "fc1", 160, gamma=False, **old)
    return net.model(8, 3, ("data", [1, 3, 112, 112]), "fc1", [1, 160], "", weights_as_inputs=True)


def keras():
    """Keras by tf2onnx, opset 13: channels last, batch open, depthwise convolutions, padding SAME_UPPER, the embedding normalised."""
    net = Net(3)
    x = net.node("Transpose", ["input_1"], "to_nchw", perm=[0, 3, 1, 2])
    x = net.conv(x, "stem", 3, 8, 3, 2, bias=True, auto_pad="SAME_UPPER")
    x = net.node("PRelu", [x, net.uniform("alpha0", (8, 1, 1), -0.3, 0.6)], "prelu0")
    x = net.conv(x, "depthwise", 8, 8, 3, 2, group=8, bias=True, auto_pad="SAME_UPPER")
    x = net.node("Clip", [x, net.tensor("zero", np.float32(0)), net.tensor("six", np.float32(6))], "relu6")
    x = net.conv(x, "pointwise", 8, 24, 1, 1, bias=True)
    x = net.conv(x, "global", 24, 24, 28, 1, group=24)
    x = net.node("Transpose", [x], "to_nhwc", perm=[0, 2, 3, 1])
    x = net.node("Reshape", [x, net.tensor("flat", np.array([-1, 24], np.int64))], "reshape")
    x = net.node("MatMul", [x, net.normal("kernel", (24, 192), 0.3)], "matmul")
    x = net.node("Add", [x, net.normal("bias", (192,), 0.1)], "dense")
    square = net.node("ReduceSum", [net.node("Mul", [x, x], "square"), net.tensor("axes", np.array([1], np.int64))], "sum", keepdims=1)
    bounded = net.node("Max", [square, net.tensor("epsilon", np.float32(1e-12))], "maximum")
    root = net.node("Reciprocal", [net.node("Sqrt", [bounded], "sqrt")], "rsqrt")
    net.node("Mul", [x, root], "embedding")
    return net.model(13, 7, ("input_1", ["unk__616", 112, 112, 3]), "embedding", ["unk__617", 192], "tf2onnx")


def torch21():
    """PyTorch, opset 21: batch -1, the normalisation in the graph, average pooling, 1024 values, divided by their norm."""
    net = Net(4)
    x = net.node("Div", ["image", net.tensor("val_0", np.float32(255))], "scaled")
    x = net.node("Relu", [net.conv(x, "conv", 3, 16, 3, 2, bias=True)], "relu")
    x = net.node("Relu", [net.conv(x, "conv_1", 16, 24, 3, 2, bias=True)], "relu_1")
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x], "pool")], "view", axis=1)
    x = net.node("Gemm", [x, net.normal("head.weight", (16, 24), 0.4), net.normal("head.bias", (16,), 0.1)], "head", transB=1)
    x = net.node("Gelu", [x], "gelu", approximate="tanh")
    x = net.node("Gemm", [x, net.normal("wide.weight", (1024, 16), 0.4), net.normal("wide.bias", (1024,), 0.1)], "wide", transB=1)
    norm = net.node("ReduceL2", [x, net.tensor("val_1", np.array([1], np.int64))], "norm", keepdims=1)
    least = net.node("Clip", [norm, net.tensor("val_2", np.float32(1e-12))], "clamp_min")
    wide = net.node("Expand", [least, net.node("Shape", [x], "shape", start=0)], "expand_as")
    net.node("Div", [x, wide], "normalized")
    return net.model(21, 10, ("image", [-1, 3, 112, 112]), "normalized", [-1, 1024], "pytorch")


def outputs(model, tensors):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [session.run(None, {name: tensor})[0].ravel() for tensor in tensors]


def crop(picture):
    return np.asarray(Image.open(HERE.parent / "golden" / picture).convert("RGB")).astype(np.float32)


FAMILIES = {
    # file: (model, what onnxruntime is given in its place, layout, mean, scale)
    "insightface": (insightface(), None, "NCHW", 127.5, 1 / 127.5),
    "mxnet": (mxnet(), mxnet(spatial=1, slopes_a_channel=True), "NCHW", 0.0, 1.0),
    "keras": (keras(), None, "NHWC", 127.5, 1 / 128),
    "torch21": (torch21(), None, "NCHW", 0.0, 1.0),
}


def main():
    cases = []
    for name, (model, same, layout, mean, scale) in FAMILIES.items():
        onnx.save(model, HERE / f"{name}.onnx")
        tensors = [(crop(picture) - np.float32(mean)) * np.float32(scale) for picture in PICTURES]
        if layout == "NCHW":
            tensors = [tensor.transpose(2, 0, 1) for tensor in tensors]
        tensors = [np.ascontiguousarray(tensor[None], np.float32) for tensor in tensors]
        values = outputs(same or model, tensors)
        (HERE / f"{name}.f32").write_bytes(b"".join(v.astype("<f4").tobytes() for v in values))
        cases.append({
            "file": f"{name}.onnx", "expected": f"{name}.f32", "pictures": PICTURES, "dimension": len(values[0]),
            "layout": layout, "mean": mean, "scale": float(np.float32(scale)),
        })
        cosine = float(np.dot(*values) / np.prod([np.linalg.norm(v) for v in values]))
        print(f"{name}: {(HERE / f'{name}.onnx').stat().st_size} bytes, {len(values[0])} values, cosine of the two {cosine:.3f}")
    (HERE / "own_models.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
