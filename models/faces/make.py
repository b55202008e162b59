"""Makes `faces.png`, the aligned crops that `doorward models import` tries a recogniser on.

    python -m venv .venv && .venv/bin/pip install -r tests/golden/requirements.txt
    .venv/bin/python models/faces/make.py

Detected by the shipped YuNet and aligned to the five-point template, as the product does it; side by side in the order of PICTURES.
"""

import argparse
import pathlib
import sys

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests" / "golden")]

import faces  # noqa: E402  (detection and alignment, as for the golden vectors)
from sources import FACE_RECOGNITION, MATPLOTLIB, SCIKIT_IMAGE  # noqa: E402  (the demo's pinned packages)

PORTRAITS = "face_recognition-1.3.0/tests/test_images/"
PICTURES = [
    (FACE_RECOGNITION, PORTRAITS + "obama2.jpg"),  # Obama, 2009
    (FACE_RECOGNITION, PORTRAITS + "obama3.jpg"),  # Obama, 2010
    (FACE_RECOGNITION, PORTRAITS + "obama.jpg"),  # Obama, 2012
    (FACE_RECOGNITION, PORTRAITS + "biden.jpg"),
    (SCIKIT_IMAGE, "skimage/data/astronaut.png"),  # Collins
    (MATPLOTLIB, "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),  # Hopper
]
LONGEST_PX = 640


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "target" / "packages", help="where archives are kept")
    arguments = parser.parse_args()
    yunet = faces.session(ROOT / "models/yunet-2023mar.onnx")
    crops = []
    for package, member in PICTURES:
        photo = package.picture(member, arguments.cache)
        photo.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
        rgb = np.asarray(photo)
        _, _, points = faces.detect(yunet, rgb)[0]
        crops.append(faces.align(rgb, points))
    Image.fromarray(np.concatenate(crops, axis=1)).save(HERE / "faces.png", optimize=True)


if __name__ == "__main__":
    main()
