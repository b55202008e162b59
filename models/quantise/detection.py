"""Two detectors on the same pictures: which faces both find, and how far apart they put them."""

import io
import pathlib
import random

import numpy as np
from PIL import Image

from .crops import align, read_rgb
from .frames import find, iou
from .network import session

DOOR = pathlib.Path(__file__).resolve().parents[2] / "demo" / "door.mjpeg"
SAME_FACE_IOU = 0.5
# A frame of a door camera, and the share of an LFW picture's width that the face in it takes.
FRAME_PX, FACE_SHARE = (1280, 720), 92 / 250


def door_frames(paths, face_px, seed):
    """Pictures laid over the demo's door so that faces are about `face_px` wide, 1280x720."""
    data = DOOR.read_bytes()
    door = Image.open(io.BytesIO(data)).convert("RGB").resize(FRAME_PX)
    side = round(face_px / FACE_SHARE)
    draw = random.Random(seed)
    for path in paths:
        frame = door.copy()
        picture = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        frame.paste(picture, (draw.randint(0, FRAME_PX[0] - side), draw.randint(0, FRAME_PX[1] - side)))
        yield np.asarray(frame)


def noisy(picture, levels, random_state):
    """The picture with each value moved by up to `levels`."""
    return np.clip(picture + random_state.integers(-levels, levels + 1, picture.shape), 0, 255).astype(np.uint8)


def compare(exact, other, embed, pictures, working_px, disturb=lambda picture: picture):
    """A row of figures: the faces `exact` finds, those `other` misses or adds, and how the rest differ."""
    faces = missed = added = 0
    overlaps, distances, scores, crops = [], [], [], []
    for picture in pictures:
        wanted, found = find(exact, picture, working_px), find(other, disturb(picture), working_px)
        faces += len(wanted)
        added += len(found)
        for face in wanted:
            match = max(found, key=lambda candidate: iou(face.box, candidate.box), default=None)
            if match is None or iou(face.box, match.box) < SAME_FACE_IOU:
                missed += 1
                continue
            added -= 1
            overlaps.append(iou(face.box, match.box))
            eyes = np.hypot(*(face.landmarks[0] - face.landmarks[1]))
            distances.append(np.linalg.norm(face.landmarks - match.landmarks, axis=1).mean() / max(eyes, 1))
            scores.append(match.score - face.score)
            crops += [align(picture, face.landmarks), align(picture, match.landmarks)]
    embeddings = embed(crops)
    cosines = (embeddings[::2] * embeddings[1::2]).sum(1)
    return (f"{faces} | {missed} | {added} | {np.mean(overlaps):.3f} | {np.median(distances):.4f} | {np.percentile(distances, 95):.3f} | "
            f"{np.mean(scores):+.4f} | {np.mean(cosines):.4f} | {np.percentile(cosines, 5):.3f} |")


def report(exact, quantised, embed, paths, count=150):
    """Prints the comparison on portraits and on door frames, and beside it what a little noise does to the float detector."""
    exact, quantised = session(exact), session(quantised)
    random_state = np.random.default_rng(1)
    sets = [(f"portraits, {px} px", lambda: map(read_rgb, paths[:count]), px) for px in (250, 480)]
    for face_px in (60, 120):
        sets.append((f"door, faces of {face_px} px, 480 px", lambda px=face_px: door_frames(paths[:count], px, px), 480))
    print("\n| pictures, working size | against | faces | missed | added | IoU | landmarks apart, median (eye distances) "
          "| 95 % below | score | cosine of embeddings | 5 % below |\n"
          "|---|---|---|---|---|---|---|---|---|---|---|")
    for name, pictures, working_px in sets:
        print(f"| {name} | int8 | {compare(exact, quantised, embed, pictures(), working_px)}", flush=True)
        row = compare(exact, exact, embed, pictures(), working_px, lambda picture: noisy(picture, 4, random_state))
        print(f"| | f32, noise of 4 levels | {row}", flush=True)
