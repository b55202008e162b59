"""Measures what quantising costs, on pictures that are not ours to ship; docs/quantisation.md holds the result.

    python models/measure_quantised.py --data FOLDER --doorward BINARY [--ladder] [--recognition] [--detector] [--svg FILE]

FOLDER is laid out as DOORWARD_DATA's in CONTRIBUTING.md. Prints Markdown. Calibration pictures are those of quantize.py; what is
measured by cosine is measured on one picture each of 500 other people.
"""

import argparse
import os
import pathlib
import sys
import tempfile

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # noqa: E402

from quantise import detection, ladder_chart  # noqa: E402
from quantise.build import SEED, calibration, prepare, quantise  # noqa: E402
from quantise.calibrate import Inputs  # noqa: E402
from quantise.card import cards  # noqa: E402
from quantise.crops import align, crops_of, people, read_rgb  # noqa: E402
from quantise.frames import central, find  # noqa: E402
from quantise.network import session  # noqa: E402
from quantise.recipe import Steps  # noqa: E402
from quantise.recognition import Lists, one_to_one, search, verification  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
RECOGNISER, DETECTOR = "mobilefacenet-arcface-192", "yunet-2023mar"
HELD_OUT = 500
# The pictures of the lists are 250x250 px, and the operating points were measured at that size.
OWN_PX = 250

NOTHING = dict(equalise_depthwise=False, equalise_pointwise=False, offsets=False, correct_bias=False, float_tail=False)
UPWARDS = [  # (what is new, the steps taken)
    ("our Q/DQ places, s8, nothing else", NOTHING),
    ("+ equalise what only depthwise convolutions read", NOTHING | dict(equalise_depthwise=True)),
    ("+ equalise 1x1 inputs and the residual trunk", NOTHING | dict(equalise_depthwise=True, equalise_pointwise=True)),
    ("+ bias correction", NOTHING | dict(equalise_depthwise=True, equalise_pointwise=True, correct_bias=True)),
    ("+ float tail", dict(offsets=False)),
    ("+ offsets on 1x1 inputs: the recipe", {}),
]
WITHOUT = [
    ("equalisation of depthwise inputs", dict(equalise_depthwise=False)),
    ("equalisation of 1x1 inputs and the trunk", dict(equalise_pointwise=False)),
    ("any equalisation", dict(equalise_depthwise=False, equalise_pointwise=False)),
    ("bias correction", dict(correct_bias=False)),
    ("float tail", dict(float_tail=False)),
    ("offsets", dict(offsets=False)),
]


def embed(model, card, crops):
    """Normalised embeddings, one a crop, by onnxruntime as the file is written."""
    running = session(model)
    name = running.get_inputs()[0].name
    rows = np.concatenate([running.run(None, {name: card.inputs(crop[None])})[0] for crop in crops])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def naive(card, inputs, activation):
    """What onnxruntime's own static quantisation makes of the float file."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = (pathlib.Path(folder) / name for name in ("float.onnx", "int8.onnx"))
        source.write_bytes(card.bytes)
        name = onnx.load(source).graph.input[0].name
        quantize_static(source, target, Inputs(name, [value[None] for value in inputs]), quant_format=QuantFormat.QDQ, per_channel=True,
                        weight_type=QuantType.QInt8, activation_type=activation, op_types_to_quantize=["Conv"],
                        extra_options={"ActivationSymmetric": activation == QuantType.QInt8})
        return target.read_bytes()


def ladder(card, binary, paths):
    """Prints the cosine to float of each rung; returns [(rung, mean, least)]."""
    pictures, used = calibration(card, binary, paths, SEED)
    beyond = paths[paths.index(used[-1]) + 1:]
    held_out_paths, held_out = crops_of(binary, beyond, HELD_OUT)
    assert not {p.parent for p in used} & {p.parent for p in held_out_paths}
    exact = embed(card.bytes, card, held_out)
    prepared = prepare(card, pictures)
    rungs = []

    def measure(name, model):
        cosines = (exact * embed(model, card, held_out)).sum(1)
        rungs.append((name, float(cosines.mean()), float(cosines.min())))
        print(f"| {name} | {cosines.mean():.5f} | {np.percentile(cosines, 1):.4f} | {cosines.min():.4f} |", flush=True)

    print(f"\n{len(used)} people to calibrate on, {len(held_out)} others measured")
    print("\n| recipe | mean | 1st percentile | least |\n|---|---|---|---|")
    measure("onnxruntime's quantize_static, u8", naive(card, prepared[2], QuantType.QUInt8))
    measure("the same, s8", naive(card, prepared[2], QuantType.QInt8))
    for name, steps in UPWARDS:
        measure(name, quantise(card, prepared, Steps(**steps)))
    measure("weights only", quantise(card, prepared, Steps(), activations=False))
    for name, steps in WITHOUT:
        measure(f"the recipe without {name}", quantise(card, prepared, Steps(**steps)))
    return rungs


def recognition(float_card, int8_model, detectors, lists, binary, working_px):
    """Prints recognition figures, float against int8; `detectors`: (f32, int8) files of the detector."""
    images = lists.pictures()
    kept, crops = crops_of(binary, [lists.folder / image for image in images], working_px=working_px)
    names = [str(path.relative_to(lists.folder)) for path in kept]
    rows = [("f32", "f32", dict(zip(names, embed(float_card.bytes, float_card, crops)))),
            ("f32", "int8", dict(zip(names, embed(int8_model, float_card, crops))))]
    if detectors:
        found = {}
        running = session(detectors[1])
        for image in images:
            picture = read_rgb(lists.folder / image)
            face = central(find(running, picture, working_px), picture.shape[1], picture.shape[0])
            if face is not None:
                found[image] = align(picture, face.landmarks)
        rows.append(("int8", "int8", dict(zip(found, embed(int8_model, float_card, list(found.values()))))))
    both = rows[0][2].keys() & rows[1][2].keys()
    cosines = np.array([rows[0][2][name] @ rows[1][2][name] for name in both])
    print(f"\nint8 to f32 on all {len(both)} crops: cosine mean {cosines.mean():.5f}, least {cosines.min():.4f}, "
          f"{(cosines < 0.995).sum()} below 0.995")
    print("\n| detector | recogniser | pairs_test, % right | threshold | FNIR at FPIR 1 %, 1 photo | 3 photos |\n"
          "|---|---|---|---|---|---|")
    for detector, recogniser, embeddings in rows:
        share, threshold = verification(embeddings, lists)
        one, three = (search(embeddings, lists, gallery) for gallery in ("gallery_1photo", "gallery_3photos"))
        (fnir, at), (fnir3, at3) = one.fnir_at_fpir(0.01), three.fnir_at_fpir(0.01)
        print(f"| {detector} | {recogniser} | {share * 100:.2f} | {threshold:.3f} "
              f"| {fnir * 100:.2f} % at {at:.3f} | {fnir3 * 100:.2f} % at {at3:.3f} |")
    print("\n| detector | recogniser | operating point | false positives | false negatives |\n|---|---|---|---|---|")
    for detector, recogniser, embeddings in rows:
        three = search(embeddings, lists, "gallery_3photos")
        for name, threshold in (("fpir-0.01", 0.553), ("fpir-0.003", 0.581)):
            positives, negatives = three.at(threshold)
            print(f"| {detector} | {recogniser} | {name}, {threshold} "
                  f"| {positives} of {len(three.non_mated)} | {negatives} of {len(three.mated)} |")
        matches, non_mated, misses, mated = one_to_one(embeddings, lists, 0.45)
        print(f"| {detector} | {recogniser} | fmr-0.001, 0.45 | {matches} of {non_mated} | {misses} of {mated} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, metavar="FOLDER")
    parser.add_argument("--doorward", required=True, metavar="BINARY")
    parser.add_argument("--models", type=pathlib.Path, default=HERE, metavar="DIR", help="where the float and the int8 files are")
    parser.add_argument("--ladder", action="store_true", help="the cosine to float, step by step")
    parser.add_argument("--recognition", action="store_true", help="recognition figures, float against int8")
    parser.add_argument("--working-size", type=int, default=OWN_PX, metavar="PX",
                        help="longer side of the picture the detector sees, for --recognition (default: %(default)s)")
    parser.add_argument("--detector", action="store_true", help="what the int8 detector finds, against float")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="the ladder as a chart")
    given = parser.parse_args()
    recogniser, detector = cards(HERE, [RECOGNISER, DETECTOR])
    paths = people(given.data / "images", SEED)
    files = [given.models / f"{card.path.stem}-int8.onnx" for card in (recogniser, detector)]
    if given.ladder:
        rungs = ladder(recogniser, given.doorward, paths)
        if given.svg:
            given.svg.write_text(ladder_chart.draw(rungs[:8]), encoding="utf-8")
    if given.detector:
        beyond = paths[len(paths) // 2:]
        detection.report(detector.bytes, files[1].read_bytes(), lambda crops: embed(recogniser.bytes, recogniser, crops), beyond)
    if given.recognition:
        detectors = (detector.bytes, files[1].read_bytes()) if files[1].is_file() else None
        recognition(recogniser, files[0].read_bytes(), detectors, Lists(given.data), given.doorward, given.working_size)


if __name__ == "__main__":
    sys.exit(main())
