#!/usr/bin/env python3
"""Judges what came out of the emulated machine: cross/machine/check.py OUT

Prints a line for each thing that is as it should be, and one for each that is not; the exit code says whether all are.
"""

import json
import sys
from pathlib import Path

# What is promised of a camera that is back.
REOPENED_WITHIN_S = 2.0
# From guest/door.toml.
MAX_FRAME_AGE_MS = 10000

GRANTED_AS = {
    "granted: resident": "resident",
    "granted: between broken frames": "barack-obama",
    "granted: after nothing whole": "resident",
    "granted: as /dev/video1": "barack-obama",
    "granted: from another program": "resident",
    "granted: as YUYV": "barack-obama",
    "granted: as GREY": "resident",
    "granted: one of two": "resident",
}
REPORTED = [
    "missing", "no writer", "stall", "damaged", "corrupt", "nothing whole", "failed read", "unplugged", "busy", "unreadable", "another size",
]
RETURNED = ["with a writer", "as /dev/video1", "from another program", "as YUYV", "as GREY"]


class Results:
    """What the machine brought back."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.log = self.text("log")
        told = [json.loads(line) for line in self.text("events.jsonl").splitlines()]
        self.events = [event for event in told if event["event"] == "access"]
        self.changes = [event for event in told if event["event"] == "source"]
        # When each thing was first noticed or done, in seconds since the machine started.
        self.at: dict[str, float] = {}
        for line in self.text("timeline").splitlines():
            seconds, what = line.split(" ", 1)
            self.at.setdefault(what, float(seconds))

    def text(self, name: str) -> str:
        path = self.out / name
        return path.read_text(errors="replace") if path.exists() else ""

    def decided(self, decision: str, begin: str, end: str) -> list[dict]:
        """Events of frames that were captured between two points of the timeline."""
        begin_ms, end_ms = (self.at.get(what, float("nan")) * 1000 for what in (begin, end))
        return [e for e in self.events if e["decision"] == decision and begin_ms <= e["captured"]["monotonic_ms"] <= end_ms]

    def last_granted(self, what: str) -> str | None:
        """Who was the last to be granted when the machine noticed something."""
        known = [e for e in self.events if e["decision"] == "granted" and e["decided"]["monotonic_ms"] <= self.at[what] * 1000]
        return known[-1]["subject"] if known else None


class Judge:
    """Counts what is not as it should be."""

    def __init__(self) -> None:
        self.faults = 0

    def holds(self, what: str, holds: object, found: object = "") -> None:
        detail = f" ({found})" if found != "" else ""
        print(f"{'ok' if holds else 'NOT OK'}: {what}{detail}")
        self.faults += not holds


def judge(results: Results) -> int:
    judge, at, log = Judge(), results.at, results.log

    never = [what for what in at if what.startswith("never: ")]
    judge.holds("everything waited for has come", not never, "; ".join(never))
    judge.holds("the machine went through all cases", "ended" in at)
    judge.holds("nothing panicked", "panicked" not in log and "panicked" not in results.text("console"))
    judge.holds("the kernel saw no fault", not any(word in results.text("dmesg") for word in ("BUG:", "Oops", "WARNING:")))
    judge.holds("doorward stopped in order", results.text("exit-code").strip() == "0", f"exit code {results.text('exit-code').strip()}")

    for what in REPORTED:
        judge.holds(f"{what}: said so", f"{what}: reported" in at)
    for what in RETURNED:
        took = at.get(f"reopened: {what}", float("inf")) - at.get(f"returned: {what}", 0)
        judge.holds(f"{what}: open again within {REOPENED_WITHIN_S} s of its return", took <= REOPENED_WITHIN_S, f"{took:.2f} s")
    states = [change["state"] for change in results.changes]
    judge.holds("losses and returns are events, too", states.count("back") >= len(RETURNED), f"{states.count('lost')} lost, {states.count('back')} back")
    judge.holds("the last of them is a return", states[-1:] == ["back"])
    judge.holds("no return without a loss", all(now == "lost" or before == "lost" for before, now in zip(["back", *states], states)))
    judge.holds("after a failed read: open again", "reopened: after a failed read" in at)
    for what, subject in GRANTED_AS.items():
        judge.holds(f"{what.replace('granted: ', '')}: {subject} granted", what in at and results.last_granted(what) == subject)
    subjects = {e["subject"] for e in results.events if e["decision"] == "granted"}
    judge.holds("nobody else was granted, ever", subjects == {"resident", "barack-obama"}, ", ".join(map(str, sorted(subjects))))
    judge.holds("a stranger is denied", "denied: stranger" in at and "denied: after the stall" in at)

    # One frame of somebody enrolled came during the stall; the same frame was there for every new reader.
    old = results.decided("granted", "stalled", "resumed")
    judge.holds("nobody is granted on the frame that a stalled camera left", "resumed" in at and not old, f"{len(old)} granted")
    judge.holds("such frames are left out", "a frame of before the camera was opened is left out" in log)
    ages = [e["latency_ms"]["total"] for e in results.events if e["decision"] == "granted"]
    judge.holds(f"no grant on a frame older than {MAX_FRAME_AGE_MS} ms", ages and max(ages) <= MAX_FRAME_AGE_MS, f"the oldest {max(ages, default=0):.0f} ms")

    judge.holds("cameras: none, exit code 1", results.text("cameras-none").strip() == "1")
    judge.holds("cameras: two, exit code 0", results.text("cameras-two").strip() == "0")
    cameras = {c["path"]: c for c in map(json.loads, results.text("cameras.jsonl").splitlines())}
    judge.holds("cameras: both are listed", set(cameras) == {"/dev/video0", "/dev/video2"}, ", ".join(cameras))
    if len(cameras) == 2:
        door, other = cameras["/dev/video0"], cameras["/dev/video2"]
        judge.holds("cameras: the configuration's is marked, while it is in use", door["configured"] and not other["configured"])
        judge.holds("cameras: by its lasting name", door["links"] == ["/dev/v4l/by-id/usb-Door_Camera-video-index0"], door["links"])
        judge.holds("cameras: formats", [f["fourcc"] for f in door["formats"] + other["formats"]] == ["MJPG", "YUYV"])
        judge.holds("cameras: what would be taken", door["takes"] == {"pixels": "MJPG", "width_px": 640, "height_px": 360, "fps": 3}, door["takes"])
    return judge.faults


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    faults = judge(Results(Path(sys.argv[1])))
    print(f"{faults} not as they should be" if faults else "all as it should be")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
