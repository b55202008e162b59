"""The inputs all engines are given: pictures of this repository, or of a folder, laid out as a model's card says."""

import pathlib
import tomllib

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Crops that are aligned already, and frames.
ALIGNED = sorted((ROOT / "tests" / "golden").glob("*-aligned.png"))
FRAMES = [ROOT / "tests" / "golden" / "collins-frame.png",
          *(ROOT / "tests" / "pictures" / name for name in ("six-faces.jpg", "portrait.jpg", "stranger.jpg", "no-face.jpg"))]
SUFFIXES = {".jpg", ".jpeg", ".png"}
MOST = 64


def card(model: pathlib.Path) -> dict:
    """The card of a model file in the catalogue that lies beside it."""
    catalogue = tomllib.loads((model.parent / "catalogue.toml").read_text())
    return next(card for card in catalogue["model"] if card["file"] == model.name)


def inputs(card: dict, shape: list[int], folder: pathlib.Path | None) -> np.ndarray:
    """N inputs of `shape` (1 x 3 x height x width), float32.

    Crops are expected to be aligned and are only resized; frames keep their shape and are padded with black on the right
    and below.
    """
    aligned = card["input"]["alignment"] != "frame"
    files = ALIGNED if aligned else FRAMES
    if folder:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:MOST]
    if not files:
        raise SystemExit(f"there is no picture in {folder}; name a folder of {', '.join(sorted(SUFFIXES))} files")
    _, _, height, width = shape
    made = []
    for file in files:
        with Image.open(file) as picture:
            rgb = picture.convert("RGB")
        fitted = rgb.resize((width, height)) if aligned else padded(rgb, width, height)
        pixels = np.asarray(fitted, np.float32)
        if card["input"]["colour"] == "BGR":
            pixels = pixels[..., ::-1]
        values = (pixels - np.float32(card["input"]["mean"])) * np.float32(card["input"]["scale"])
        made.append(values.transpose(2, 0, 1)[None])
    return np.ascontiguousarray(made, np.float32)


def padded(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture as large as it fits, in the upper left corner."""
    scale = min(width / picture.width, height / picture.height)
    canvas = Image.new("RGB", (width, height))
    canvas.paste(picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))))
    return canvas
