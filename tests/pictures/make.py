"""Makes the small pictures that the tests on unusual and bad input read, beside this file.

    python -m venv .venv && .venv/bin/pip install -r demo/requirements.txt
    .venv/bin/python tests/pictures/make.py

Two portraits are the source of all faces: Eileen Collins (NASA) and Grace Hopper (US Navy).
"""

import argparse
import sys
from pathlib import Path

from PIL import Image

DEMO = Path(__file__).resolve().parents[2] / "demo"
sys.path.insert(0, str(DEMO))
from sources import MATPLOTLIB, SCIKIT_IMAGE  # noqa: E402

ORIENTATION_TAG = 0x0112
# EXIF orientation -> what was done to the upright picture, so that a reader who honours the tag undoes it.
STORED_AS = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def face(photo: Image.Image, box: tuple[int, int, int, int], width_px: int) -> Image.Image:
    """The part of the photograph in `box`, `width_px` wide."""
    left, top, right, bottom = box
    height_px = width_px * (bottom - top) // (right - left)
    return photo.resize((width_px, height_px), Image.Resampling.LANCZOS, box=box)


def six_faces(collins: Image.Image, hopper: Image.Image) -> Image.Image:
    """Two people three times each, in two rows, never two of one person side by side."""
    montage = Image.new("RGB", (660, 440))
    for place in range(6):
        row, column = divmod(place, 3)
        montage.paste((collins, hopper)[place % 2], (220 * column, 220 * row))
    return montage


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=here, help="folder to write into (default: beside this file)")
    parser.add_argument("--cache", type=Path, default=DEMO / ".packages", help="where downloaded packages are kept")
    arguments = parser.parse_args()
    cache, out = arguments.cache, arguments.out
    out.mkdir(parents=True, exist_ok=True)

    astronaut = SCIKIT_IMAGE.picture("skimage/data/astronaut.png", cache)
    commodore = MATPLOTLIB.picture("matplotlib/mpl-data/sample_data/grace_hopper.jpg", cache)
    collins = face(astronaut, (116, 10, 336, 230), 220)
    hopper = face(commodore, (80, 40, 460, 420), 220)

    # The upright portrait is the reference: every variant below must give its face, in its place.
    collins.save(out / "portrait.jpg", quality=90)
    collins.convert("L").save(out / "grey.jpg", quality=90)
    collins.convert("CMYK").save(out / "cmyk.jpg", quality=90)
    opaque = Image.new("L", collins.size, 255)
    opaque.paste(0, (0, 0, collins.width, 8))
    opaque.paste(128, (0, collins.height - 24, collins.width, collins.height))
    with_alpha = collins.copy()
    with_alpha.putalpha(opaque)
    with_alpha.save(out / "alpha.png", optimize=True)

    # Not square, so that a width swapped with the height is seen.
    upright = face(astronaut, (146, 10, 306, 210), 160)
    upright.save(out / "exif-1.jpg", quality=90)
    for orientation, stored_as in STORED_AS.items():
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        upright.transpose(stored_as).save(out / f"exif-{orientation}.jpg", quality=90, exif=exif)

    six_faces(collins, hopper).save(out / "six-faces.jpg", quality=85)
    hopper.save(out / "stranger.jpg", quality=90)
    coffee = SCIKIT_IMAGE.picture("skimage/data/coffee.png", cache)
    coffee.resize((360, 240), Image.Resampling.LANCZOS).save(out / "no-face.jpg", quality=85)


if __name__ == "__main__":
    main()
