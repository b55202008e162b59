"""Frames for the detector, and what it finds in them: the working picture and YuNet's decoding as src/detect has them."""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

STRIDES = (8, 16, 32)
STEP_PX = 32
MIN_SCORE, NMS_IOU = 0.7, 0.3  # the product's defaults (src/config/detector.rs)
SCENE_PX = 320
INSET_PX = (40, 220)


@dataclass(frozen=True)
class Face:
    """A box (x, y, w, h), five landmarks, px of the frame, and a score."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float


def scenes(paths, seed):
    """Calibration frames, 320x320 RGB: each picture fills the frame, and the next one lies on it at a size and a place drawn by
    `seed`. So faces of 20 to 150 px are seen, with and without what hides them."""
    draw = random.Random(seed)
    made = []
    for path, inset_path in zip(paths, paths[1:] + paths[:1]):
        scene = Image.open(path).convert("RGB").resize((SCENE_PX, SCENE_PX), Image.Resampling.BILINEAR)
        side = draw.randint(*INSET_PX)
        inset = Image.open(inset_path).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        scene.paste(inset, (draw.randint(0, SCENE_PX - side), draw.randint(0, SCENE_PX - side)))
        made.append(np.asarray(scene))
    return np.stack(made)


def tensor(rgb):
    """The detector's input of a picture: 1 x BGR x rows x columns, 0 to 255."""
    return np.ascontiguousarray(rgb[..., ::-1].transpose(2, 0, 1)[None], np.float32)


def working_picture(rgb, longer_px):
    """(picture, scale across, scale down): `rgb` with its longer side at `longer_px`, black to the right and below."""
    height, width, _ = rgb.shape
    scale = longer_px / max(width, height)
    inner = [max(int(side * scale + 0.5), 1) for side in (width, height)]
    picture = np.zeros([-(-side // STEP_PX) * STEP_PX for side in inner[::-1]] + [3], np.uint8)
    picture[:inner[1], :inner[0]] = Image.fromarray(rgb).resize(inner, Image.Resampling.BILINEAR)
    return picture, width / inner[0], height / inner[1]


def find(detector, rgb, longer_px):
    """The faces that the detector (a session) finds in a picture, best first."""
    picture, across, down = working_picture(rgb, longer_px)
    names = [output.name for output in detector.get_outputs()]
    outputs = dict(zip(names, detector.run(None, {detector.get_inputs()[0].name: tensor(picture)})))
    found = []
    for stride in STRIDES:
        cls, obj, box, points = (outputs[f"{head}_{stride}"][0] for head in ("cls", "obj", "bbox", "kps"))
        scores = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
        columns = picture.shape[1] // stride
        for cell in np.flatnonzero(scores >= MIN_SCORE):
            at = np.array([cell % columns, cell // columns])
            middle, sides = (at + box[cell, :2]) * stride, np.exp(box[cell, 2:]) * stride
            zoom = np.array([across, down])
            found.append(Face(np.concatenate([(middle - sides / 2) * zoom, sides * zoom]),
                              (at + points[cell].reshape(5, 2)) * stride * zoom, float(scores[cell])))
    return suppress(found)


def iou(a, b):
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    both = np.prod(np.maximum(high - low, 0))
    return both / (np.prod(a[2:]) + np.prod(b[2:]) - both)


def suppress(found):
    """Non-maximum suppression."""
    kept = []
    for face in sorted(found, key=lambda face: -face.score):
        if all(iou(better.box, face.box) <= NMS_IOU for better in kept):
            kept.append(face)
    return kept


def central(faces, width, height):
    """The face nearest the middle, or None."""
    return min(faces, key=lambda f: np.hypot(*(f.box[:2] + f.box[2:] / 2 - (width / 2, height / 2))), default=None)


