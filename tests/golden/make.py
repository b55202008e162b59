"""Makes the golden vectors: small pictures, and what onnxruntime puts out for them.

    python -m venv .venv && .venv/bin/pip install -r tests/golden/requirements.txt
    .venv/bin/python tests/golden/make.py

Each model's preprocessing is spelled out here once more, on its own, so that the test compares two statements of it.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "demo"))

import faces  # noqa: E402
from sources import FACE_RECOGNITION, MATPLOTLIB, SCIKIT_IMAGE  # noqa: E402  (the demo's pinned packages)

PORTRAITS = "face_recognition-1.3.0/tests/test_images/"
PICTURES = {
    "obama-2012": (FACE_RECOGNITION, PORTRAITS + "obama.jpg"),
    "obama-2009": (FACE_RECOGNITION, PORTRAITS + "obama2.jpg"),
    "biden": (FACE_RECOGNITION, PORTRAITS + "biden.jpg"),
    "collins": (SCIKIT_IMAGE, "skimage/data/astronaut.png"),
    "hopper": (MATPLOTLIB, "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
}
LONGEST_PX = 640


def recogniser_input(rgb):
    """RGB planes, (x - 127.5) / 128."""
    return ((rgb.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]


def landmarks_input(rgb):
    """One plane of BT.601 luma, whole numbers, over 256."""
    luma = np.floor(rgb.astype(np.float64) @ (0.299, 0.587, 0.114) + 0.5)
    return (luma / 256).astype(np.float32)[None, None]


def liveness_input(rgb):
    """BGR, 0 to 255, planes."""
    return rgb[..., ::-1].astype(np.float32).transpose(2, 0, 1)[None]


def square(photo, box, scale, side):
    """The square around the middle of a face's box, `scale` heights of it, moved or shrunk into the picture."""
    height = float(box[3]) * scale
    length = min(round(height), *photo.size)
    corner = [min(max(round(float(box[n] + box[n + 2] / 2) - length / 2), 0), photo.size[n] - length) for n in (0, 1)]
    part = photo.crop((*corner, corner[0] + length, corner[1] + length))
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "target" / "packages", help="where archives are kept")
    arguments = parser.parse_args()
    yunet = faces.session(ROOT / "models/yunet-2023mar.onnx")
    landmarks = faces.session(ROOT / "models/landmarks-68.onnx")
    recogniser = faces.session(ROOT / "models/mobilefacenet-arcface-192.onnx")
    liveness = faces.session(ROOT / "models/fr-liveness.onnx")
    # Quantised files as they are written: what onnxruntime makes of them with all optimisation rounds differently.
    yunet_int8 = faces.session(ROOT / "models/yunet-2023mar-int8.onnx", as_written=True)
    recogniser_int8 = faces.session(ROOT / "models/mobilefacenet-arcface-192-int8.onnx", as_written=True)
    cases = []

    def case(model, session, name, picture, tensor, suffix=""):
        """Writes a picture and the model's outputs for it, one after the other, as little-endian f32."""
        Image.fromarray(picture).save(HERE / f"{name}.png", optimize=True)
        outputs = [output.name for output in session.get_outputs()]
        values = session.run(outputs, {session.get_inputs()[0].name: np.ascontiguousarray(tensor, np.float32)})
        expected = f"{name}{suffix}.f32"
        (HERE / expected).write_bytes(b"".join(v.astype("<f4").tobytes() for v in values))
        shapes = [{"name": n, "shape": list(v.shape)} for n, v in zip(outputs, values, strict=True)]
        cases.append({"model": model, "picture": f"{name}.png", "expected": expected, "outputs": shapes})

    for name, (package, member) in PICTURES.items():
        photo = package.picture(member, arguments.cache)
        photo.thumbnail((LONGEST_PX, LONGEST_PX), Image.Resampling.LANCZOS)
        rgb = np.asarray(photo)
        _, box, points = faces.detect(yunet, rgb)[0]
        crop = faces.align(rgb, points)
        case("mobilefacenet-arcface-192", recogniser, f"{name}-aligned", crop, recogniser_input(crop))
        case("mobilefacenet-arcface-192-int8", recogniser_int8, f"{name}-aligned", crop, recogniser_input(crop), "-int8")
        if name in ("collins", "biden"):
            edges = (box[0], box[1], box[0] + box[2], box[1] + box[3])
            face = np.asarray(photo.resize((64, 64), Image.Resampling.BILINEAR, box=tuple(float(e) for e in edges)))
            case("landmarks-68", landmarks, f"{name}-box", face, landmarks_input(face))
            around = square(photo, box, 2.7, 128)
            case("fr-liveness", liveness, f"{name}-square", around, liveness_input(around))
        if name == "collins":
            small = np.asarray(photo.resize((160, 160), Image.Resampling.LANCZOS))[:128]
            case("yunet-2023mar", yunet, f"{name}-frame", small, faces.yunet_input(small))
            case("yunet-2023mar-int8", yunet_int8, f"{name}-frame", small, faces.yunet_input(small), "-int8")
            if not faces.detect(yunet, small):
                sys.exit("no face in the small frame: it would pin nothing")
    (HERE / "golden.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
