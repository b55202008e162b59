"""What int8 would do to the net for presentation attack detection: log-odds of fr-liveness against those of its int8 form.

    python models/measure_pad_quantised.py --data FOLDER --doorward BINARY [--keep FILE.onnx]

FOLDER is laid out as CONTRIBUTING.md says. docs/pad.md holds the tables and why no int8 file is committed. The first 1,000 of
probes_nonmated.csv are measured; the 128 after them calibrate.
"""

import argparse
import csv
import os
import pathlib
import tempfile

# Before numpy is loaded: sums on several threads are not the same each time.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from PIL import Image, ImageFilter, ImageOps  # noqa: E402

from quantise.build import PICTURES, prepare, quantise  # noqa: E402
from quantise.card import Card  # noqa: E402
from quantise.crops import detect, nearest_centre  # noqa: E402
from quantise.network import session  # noqa: E402
from quantise.recipe import Steps  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
MEASURED, SIDE_PX, BOX_SCALE = 1000, 128, 2.7
SAMPLES = {"bona fide": "image_T1.jpg", "print": "image_F1.jpg", "screen": "image_F2.jpg"}
RECIPES = {
    "weights only": (Steps(), False),
    "the recipe": (Steps(), True),
    "+ zero points": (Steps(zero_points=True), True),
}


def flattened(model):
    """The net with Flatten for what its exporter wrote in six nodes, the shape of one picture among them."""
    model = onnx.load_from_string(model)
    kept = [node for node in model.graph.node if node.op_type not in {"Shape", "Constant", "Gather", "Unsqueeze", "Concat"}]
    reshape, = (node for node in kept if node.op_type == "Reshape")
    kept[kept.index(reshape)] = onnx.helper.make_node("Flatten", reshape.input[:1], reshape.output, axis=1)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model.SerializeToString()


def read_upright(path):
    """As the product reads pictures: turned as their EXIF data say. Rows x columns x RGB, u8."""
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def square(picture, box):
    """What the net sees of a face: src/pad/square.rs, and the four nearest pixels as src/pad/net.rs takes them."""
    x, y, w, h = box
    height, width, _ = picture.shape
    side = max(1, min(round(h * BOX_SCALE), width, height))
    begin = [min(max(round(middle - side / 2), 0), length - side)
             for middle, length in ((x + w / 2, width), (y + h / 2, height))]
    cut = picture[begin[1]:begin[1] + side, begin[0]:begin[0] + side].astype(np.float32)
    at = np.clip((np.arange(SIDE_PX) + 0.5) * side / SIDE_PX - 0.5, 0, side - 1)
    low = np.floor(at).astype(int)
    high, share = np.minimum(low + 1, side - 1), (at - low).astype(np.float32)
    rows = cut[low] + (cut[high] - cut[low]) * share[:, None, None]
    return (rows[:, low] + (rows[:, high] - rows[:, low]) * share[None, :, None] + 0.5).astype(np.uint8)


def dark(picture):
    return (picture * np.float32(0.35)).astype(np.uint8)


def blurred(picture):
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1.5)))


def noisy(squares):
    """Up to four levels of noise, another for each: what a camera adds without meaning anything by it."""
    noise = np.random.default_rng(1).integers(-4, 5, squares.shape)
    return np.clip(squares.astype(np.int16) + noise, 0, 255).astype(np.uint8)


CHANGES = {"as they are": lambda picture: picture, "dark": dark, "blurred": blurred}


def nearby(box, n=40):
    """The box, moved and scaled by a few per cent: as it comes out in the frames of a video."""
    x, y, w, h = box
    draw = np.random.default_rng(1)
    for dx, dy, grown in draw.uniform(-0.06, 0.06, (n, 3)):
        yield x + dx * w - grown * w / 2, y + dy * h - grown * h / 2, w * (1 + grown), h * (1 + grown)


def log_odds(model, card, squares):
    """Of bona fide, for squares N x 128 x 128 x RGB."""
    run = session(onnx.load_from_string(model))
    name = run.get_inputs()[0].name
    logits = np.concatenate([run.run(None, {name: value[None]})[0].reshape(1, -1) for value in card.inputs(squares)]).astype(np.float64)
    return logits[:, 0] - np.logaddexp.reduce(logits[:, 1:], axis=1)


def describe(what, exact, other):
    moved = other - exact
    turned = int(((exact >= 0) != (other >= 0)).sum())
    print(f"  {what:<22} n {len(exact):>4}  moved by: mean {moved.mean():+.3f}, sd {moved.std():.3f}, "
          f"1-99 % {np.percentile(moved, 1):+.2f} to {np.percentile(moved, 99):+.2f}, most {np.abs(moved).max():.2f}; "
          f"below 0: {int((exact < 0).sum())} -> {int((other < 0).sum())}, verdicts turned {turned}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--doorward", required=True, metavar="BINARY")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE.onnx", help="write the int8 model of the recipe here")
    given = parser.parse_args()
    lfw = given.data / "lfw-dev" if (given.data / "lfw-dev").is_dir() else given.data
    with open(lfw / "probes_nonmated.csv", newline="", encoding="utf-8") as lines:
        paths = [lfw / row["image"] for row in csv.DictReader(lines)][:MEASURED + 2 * PICTURES]
    faces = {}
    for path, found in detect(given.doorward, paths):
        picture = read_upright(path)
        face = nearest_centre(found, picture.shape[1], picture.shape[0])
        if face is not None:
            faces[path] = (picture, face["bbox"])
    measured = [faces[path] for path in paths[:MEASURED] if path in faces]
    calibrating = [faces[path] for path in paths[MEASURED:] if path in faces][:PICTURES]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "fr-liveness.onnx"
        path.write_bytes(flattened((HERE / "fr-liveness.onnx").read_bytes()))
        measure(given, Card("fr-liveness", path, "recogniser", "BGR", (0.0, 0.0, 0.0), 1.0), measured, calibrating)


def measure(given, card, measured, calibrating):
    squares = {name: np.stack([square(change(picture), box) for picture, box in measured]) for name, change in CHANGES.items()}
    samples = {}
    folder = given.data / "pad-samples"
    for kind, name in SAMPLES.items():
        (path, found), = detect(given.doorward, [folder / name])
        picture = read_upright(path)
        box = max(found, key=lambda face: face["bbox"][2] * face["bbox"][3])["bbox"]
        for change, made in CHANGES.items():
            changed = made(picture)
            samples[f"{kind}, {change}"] = np.stack([square(changed, moved) for moved in (box, *nearby(box))])
    exact = {name: log_odds(card.bytes, card, values) for name, values in (squares | samples).items()}
    print(f"{len(measured)} photos measured, {len(calibrating)} calibrated on; the first of each sample: "
          + ", ".join(f"{kind} {exact[f'{kind}, as they are'][0]:.2f}" for kind in SAMPLES))
    print("float, noise of up to 4 levels:")
    for name, values in (squares | samples).items():
        describe(name, exact[name], log_odds(card.bytes, card, noisy(values)))
    prepared = prepare(card, np.stack([square(picture, box) for picture, box in calibrating]))
    for name, (steps, activations) in RECIPES.items():
        model = quantise(card, prepared, steps, activations)
        if given.keep is not None and name == "the recipe":
            given.keep.write_bytes(model)
        print(f"{name}: {len(model)} bytes")
        for kind, values in (squares | samples).items():
            describe(kind, exact[kind], log_odds(model, card, values))


if __name__ == "__main__":
    main()
