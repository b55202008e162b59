#!/usr/bin/env python3
"""Cuts pictures out of the demo's sequence: cross/machine/frames.py DIR writes DIR/NAME/00, 01, ..., each a JPEG."""

import sys
from pathlib import Path

DOOR = Path(__file__).resolve().parents[2] / "demo" / "door.mjpeg"
# Who is seen in which frames: demo/make.py prints it. Every few frames, as large as they come.
SHOWN = {
    "nobody": range(0, 8, 4),
    "resident": range(14, 38, 6),
    "collins": range(60, 75, 4),
    "obama": range(88, 104, 4),
}


def main() -> None:
    out = Path(sys.argv[1])
    end, start = b"\xff\xd9", b"\xff\xd8"
    frames = [start + cut + end for cut in DOOR.read_bytes()[2:-2].split(end + start)]
    if len(frames) != 143:
        raise SystemExit(f"{DOOR}: {len(frames)} frames, not 143: demo/make.py has changed, and with it who is seen in which")
    for name, indices in SHOWN.items():
        folder = out / name
        folder.mkdir(parents=True)
        for number, index in enumerate(indices):
            (folder / f"{number:02}").write_bytes(frames[index])


if __name__ == "__main__":
    main()
