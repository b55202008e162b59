"""Pictures of faces, and the crops the recogniser sees of them.

Faces are found by the product's own binary (`doorward detect --json`) and cut out as src/align does, so that calibration sees
what the door will see.
"""

import json
import pathlib
import random
import subprocess

import numpy as np
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png"}
SIDE_PX = 112
# The five points of the ArcFace template in a 112x112 crop (src/align/transform.rs).
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
# Pictures a call of the binary: it loads its models once a call, and a command line may not grow without end.
BATCH = 400


def people(folder, seed):
    """One picture of each person below `folder` (a person is a folder of pictures), the people in an order drawn by `seed`.

    Pictures that lie in `folder` itself count as a person each.
    """
    groups = {}
    for path in sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES):
        at_top = path.parent == pathlib.Path(folder)
        groups.setdefault(path if at_top else path.parent, []).append(path)
    if not groups:
        raise SystemExit(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}): a folder with a folder of pictures a person is expected")
    draw = random.Random(seed)
    chosen = [draw.choice(group) for group in groups.values()]
    draw.shuffle(chosen)
    return chosen


def detect(binary, paths, working_px=None):
    """Yields (path, faces) of each picture, the faces as `doorward detect --json` prints them."""
    # Always the float detector: what int8 files are made of must not depend on int8 files, nor on the processor.
    options = ["--engine", "f32"] + ([] if working_px is None else ["--working-size", str(working_px)])
    for start in range(0, len(paths), BATCH):
        batch = [str(p) for p in paths[start:start + BATCH]]
        # Exit code 1 only says that some picture shows no face.
        ran = subprocess.run([binary, "detect", "--json", *options, *batch], stdout=subprocess.PIPE, text=True)
        if ran.returncode not in (0, 1):
            raise SystemExit(f"{binary} detect failed with exit code {ran.returncode}")
        for line in ran.stdout.splitlines():
            record = json.loads(line)
            yield pathlib.Path(record["image"]), record.get("faces", [])


def nearest_centre(faces, width, height):
    """The face whose box lies nearest the picture's centre: in a portrait its subject. None without a face."""
    def off_centre(face):
        x, y, w, h = face["bbox"]
        return np.hypot(x + w / 2 - width / 2, y + h / 2 - height / 2)

    return min(faces, key=off_centre, default=None)


def read_rgb(path):
    """A picture as rows x columns x RGB, u8."""
    return np.asarray(Image.open(path).convert("RGB"))


def align(picture, landmarks):
    """The 112x112 crop in which `landmarks` (five, px) lie on the template with the least squared error.

    Similarity transform by Umeyama (TPAMI 1991) in its closed form for the plane, bilinear, black outside: src/align.
    """
    landmarks = np.asarray(landmarks, np.float64)
    source, target = landmarks - landmarks.mean(0), TEMPLATE - TEMPLATE.mean(0)
    spread = (source ** 2).sum()
    a = (source * target).sum() / spread
    b = (source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum() / spread
    turn = np.array([[a, -b], [b, a]])
    shift = TEMPLATE.mean(0) - turn @ landmarks.mean(0)
    row, column = np.mgrid[:SIDE_PX, :SIDE_PX]
    x, y = np.linalg.inv(turn) @ (np.stack([column.ravel(), row.ravel()]) - shift[:, None])
    height, width, _ = picture.shape
    padded = np.zeros((height + 2, width + 2, 3), np.float32)  # a black border stands for all that is outside
    padded[1:-1, 1:-1] = picture
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left).astype(np.float32)[:, None], (y - top).astype(np.float32)[:, None]
    columns = [np.clip(left + 1 + i, 0, width + 1).astype(int) for i in (0, 1)]
    rows = [np.clip(top + 1 + i, 0, height + 1).astype(int) for i in (0, 1)]
    upper = padded[rows[0], columns[0]] + (padded[rows[0], columns[1]] - padded[rows[0], columns[0]]) * fx
    lower = padded[rows[1], columns[0]] + (padded[rows[1], columns[1]] - padded[rows[1], columns[0]]) * fx
    return (upper + (lower - upper) * fy + 0.5).astype(np.uint8).reshape(SIDE_PX, SIDE_PX, 3)


def crops_of(binary, paths, wanted=None, working_px=None):
    """Crops of the pictures' central faces: (paths, N x 112 x 112 x RGB u8). Pictures without a face are left out.

    Stops when `wanted` crops are there. `working_px`: longer side of the picture the detector sees, if not the product's default.
    """
    kept, crops = [], []
    for start in range(0, len(paths), BATCH):
        for path, faces in detect(binary, paths[start:start + BATCH], working_px):
            if wanted is not None and len(kept) == wanted:
                break
            picture = read_rgb(path)
            face = nearest_centre(faces, picture.shape[1], picture.shape[0])
            if face is not None and face["landmarks"] is not None:
                kept.append(path)
                crops.append(align(picture, face["landmarks"]))
        if wanted is not None and len(kept) == wanted:
            break
    if not crops:
        raise SystemExit(f"no face was found in any of {len(paths)} pictures")
    return kept, np.stack(crops)
