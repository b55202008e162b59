"""Makes the int8 models of this folder from the float ones, calibrated on a folder of face pictures; the same bytes each time.

    python models/quantize.py --calibration FOLDER [--doorward BINARY] [--out DIR] [--check]

docs/quantisation.md tells what is done and what each step buys; README.md beside this file how to install what is needed. One
picture of each person is taken (a person is a folder of pictures), people in an order drawn by the seed. A recogniser of
your own: put it with its card into a folder and name both (--models DIR --model ID).
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import sys

# Before numpy is loaded: sums on several threads are not the same each time.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from quantise.build import SEED, calibration, prepare, quantise  # noqa: E402
from quantise.card import cards  # noqa: E402
from quantise.crops import people  # noqa: E402
from quantise.recipe import Steps  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
MODELS = ["mobilefacenet-arcface-192", "yunet-2023mar"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--calibration", type=pathlib.Path, required=True, metavar="FOLDER",
                        help="pictures of faces, a folder a person")
    parser.add_argument("--doorward", default=shutil.which("doorward"), metavar="BINARY",
                        help="the binary that finds the faces (default: from PATH)")
    parser.add_argument("--models", type=pathlib.Path, default=HERE, metavar="DIR",
                        help="folder with the float models and their catalogue.toml (default: this one)")
    parser.add_argument("--model", action="append", metavar="ID", help=f"which models (default: {', '.join(MODELS)})")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="where the int8 files go (default: the folder of --models)")
    parser.add_argument("--seed", type=int, default=SEED, help="draws the people and the scenes (default: %(default)s)")
    parser.add_argument("--fit-rounding", action="store_true",
                        help="round weights to fit what they read, not to the nearest (docs/quantisation.md says when it pays)")
    parser.add_argument("--zero-points", action="store_true",
                        help="a zero point off the middle for what depthwise convolutions read (docs/quantisation.md)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file that is there has other bytes")
    given = parser.parse_args()
    if given.doorward is None:
        parser.error("no doorward in PATH: name the binary by --doorward")
    return given


def main():
    given = arguments()
    out = given.out or given.models
    paths = people(given.calibration, given.seed)
    differing = False
    for card in cards(given.models, given.model or MODELS):
        pictures, _ = calibration(card, given.doorward, paths, given.seed)
        made = quantise(card, prepare(card, pictures), Steps(fit_rounding=given.fit_rounding, zero_points=given.zero_points))
        file = out / f"{card.path.stem}-int8.onnx"
        note = ""
        if given.check:
            same = file.is_file() and file.read_bytes() == made
            differing |= not same
            note = "  as it is there" if same else f"  DIFFERS from {file}"
        else:
            out.mkdir(parents=True, exist_ok=True)
            file.write_bytes(made)
        print(f"{hashlib.sha256(made).hexdigest()}  {len(made):>9}  {file.name}{note}", flush=True)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
