"""What a door does with people: how long they wait, what a crowd costs, whether a long run grows.

    cargo build --release
    python benches/door/run.py decisions [--rounds 5]     one decision a person; from the first usable frame to the event
    python benches/door/run.py crowd [--rounds 20]        one face, then six in the frame, in turns (needs Pillow)
    python benches/door/run.py idle                       processor time on a still scene at 15 frames/s (needs Pillow)
    python benches/door/run.py soak [--minutes 30]        memory and the age of frames over a long run

Runs the release program on the demo's sequence, played at 15 frames a second as a camera would give them, with the demo's two people
enrolled. The machine should be quiet.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release" / "doorward"
SEQUENCE = PROJECT / "demo" / "door.mjpeg"
RESIDENTS = {"resident", "barack-obama"}


def configuration(folder: pathlib.Path, source: str, more: str = "") -> pathlib.Path:
    path = folder / "door.toml"
    path.write_text(f"{more}\n[source]\n{source}\nfps = 15.0\nrealtime = true\n[output]\nstdout = true\n")
    return path


def enrolled(folder: pathlib.Path) -> pathlib.Path:
    gallery = folder / "gallery"
    for person in sorted((PROJECT / "demo" / "enrol").iterdir()):
        photos = sorted(str(p) for p in person.glob("*.jpg"))
        enrol = [PROGRAM, "enrol", "--gallery", gallery, person.name, *photos]
        subprocess.run(enrol, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return gallery


def run(config: pathlib.Path, gallery: pathlib.Path) -> list[dict]:
    done = subprocess.run([PROGRAM, "run", "--config", config, "--gallery", gallery], check=True, stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.splitlines()]


def access(events: list[dict]) -> list[dict]:
    return [event for event in events if event["event"] == "access"]


def quantile(values: list[float], share: float) -> float:
    """The least value that so many are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def decisions(args: argparse.Namespace) -> int:
    faults = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        gallery = enrolled(folder)
        for pad in ("off", "require"):
            config = configuration(folder, f'mjpeg = "{SEQUENCE}"', f'pad = "{pad}"')
            grants, denials = [], []
            strangers = several = 0
            for _ in range(args.rounds):
                told = access(run(config, gallery))
                for event in told:
                    waited = event["latency_ms"]["waited"]
                    (grants if event["decision"] == "granted" else denials).append(waited)
                    strangers += event["decision"] == "granted" and event["subject"] not in RESIDENTS
                for _, stay in itertools.groupby(sorted(told, key=lambda e: e["track"]), key=lambda e: e["track"]):
                    several += sum(event["decision"] == "granted" for event in stay) > 1
            print(f"pad = {pad}: {args.rounds} rounds, {len(grants)} grants, {len(denials)} denials, {strangers} strangers granted")
            for what, times in (("granted", grants), ("denied", denials)):
                if times:
                    print(f"  {what}: waited {statistics.median(times):.0f} ms, p95 {quantile(times, 0.95):.0f} ms after the first usable frame")
            faults += strangers + several
    return 1 if faults else 0


def first_event(config: pathlib.Path, gallery: pathlib.Path) -> float:
    told = access(run(config, gallery))
    return min(event["latency_ms"]["waited"] for event in told)


def crowd(args: argparse.Namespace) -> int:
    from PIL import Image

    photo = Image.open(PROJECT / "demo" / "enrol" / "Barack Obama" / "2009.jpg").convert("RGB")
    side = 300
    photo.thumbnail((side, side))
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        gallery = enrolled(folder)
        configs = []
        for name, places in (("one", 1), ("six", 6)):
            frames = folder / name
            frames.mkdir()
            canvas = Image.new("RGB", (3 * side, 2 * side), (90, 100, 110))
            for place in range(places):
                canvas.paste(photo, (place % 3 * side, place // 3 * side))
            for n in range(30):
                canvas.save(frames / f"{n:02}.jpg", quality=90)
            (folder / f"{name}-config").mkdir()
            # Six of one person: the others meet the cooldown, as they should.
            configs.append((name, configuration(folder / f"{name}-config", f'images = "{frames}"')))
        times: dict[str, list[float]] = {name: [] for name, _ in configs}
        for _ in range(args.rounds):
            for name, config in configs:
                times[name].append(first_event(config, gallery))
        one, six = (statistics.median(times[name]) for name in ("one", "six"))
        print(f"first event: one face {one:.0f} ms, six {six:.0f} ms after the first usable frame: {six / one:.2f} times ({args.rounds} rounds)")
        # Frames come every 67 ms: what the stages themselves take shows less of the waiting for the next frame.
        return 0


def ticks(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def idle(args: argparse.Namespace) -> int:
    import random

    from PIL import Image

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        gallery = enrolled(folder)
        frames = folder / "still"
        frames.mkdir()
        noise = random.Random(1)
        for n in range(30):
            # A corridor with the noise of a sensor.
            picture = Image.effect_noise((640, 480), 12 + noise.random()).point(lambda v: v // 2 + 40).convert("RGB")
            picture.save(frames / f"{n:02}.jpg", quality=85)
        config = configuration(folder, f'images = "{frames}"\nrepeat = true')
        door = subprocess.Popen([PROGRAM, "run", "--config", config, "--gallery", gallery], stdout=subprocess.DEVNULL)
        try:
            time.sleep(6)
            before, started = ticks(door.pid), time.monotonic()
            time.sleep(args.seconds)
            share = (ticks(door.pid) - before) / (time.monotonic() - started)
        finally:
            door.send_signal(signal.SIGTERM)
            door.wait()
        print(f"a still scene of 640x480 at 15 frames/s: {100 * share:.1f} % of a core")
    return 0


def soak(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        gallery = enrolled(folder)
        events = folder / "events.jsonl"
        config = configuration(folder, f'mjpeg = "{SEQUENCE}"\nrepeat = true', args.more)
        with events.open("w") as out:
            door = subprocess.Popen([PROGRAM, "run", "--config", config, "--gallery", gallery], stdout=out)
            sizes = []
            try:
                started = time.monotonic()
                while time.monotonic() - started < 60 * args.minutes:
                    time.sleep(5)
                    if door.poll() is not None:
                        sys.exit(f"the door ended by itself: {door.returncode}")
                    sizes.append((time.monotonic() - started, resident_kb(door.pid)))
            finally:
                door.send_signal(signal.SIGTERM)
                door.wait()
        told = access([json.loads(line) for line in events.read_text().splitlines()])
        later = [kb for at, kb in sizes if at > 60]
        first, oldest = later[0], max(event["latency_ms"]["total"] for event in told)
        granted = [event["subject"] for event in told if event["decision"] == "granted"]
        print(f"{args.minutes} minutes, {len(told)} decisions, {len(granted)} grants, {sum(s not in RESIDENTS for s in granted)} to strangers")
        print(f"RSS {first} kB after a minute, at most {max(later)} kB, {later[-1]} kB at the end: {max(later) - first:+} kB")
        print(f"oldest frame decided on: {oldest:.0f} ms")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(required=True)
    for name, does, rounds in (("decisions", decisions, 5), ("crowd", crowd, 20)):
        sub = what.add_parser(name)
        sub.add_argument("--rounds", type=int, default=rounds)
        sub.set_defaults(does=does)
    sub = what.add_parser("idle")
    sub.add_argument("--seconds", type=int, default=60)
    sub.set_defaults(does=idle)
    sub = what.add_parser("soak")
    sub.add_argument("--minutes", type=float, default=30)
    sub.add_argument("--more", default="", help="lines for the top of the configuration")
    sub.set_defaults(does=soak)
    args = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is missing: cargo build --release")
    return args.does(args)


if __name__ == "__main__":
    sys.exit(main())
