"""What every Python worker has in common: the command line, and the questions it answers. `examples/infer.rs` speaks the same.

The first line on standard output says, as JSON, which engine is ready and how long loading took. Then each line on standard
input is answered by one line: a count `N` by the times of N runs in milliseconds, `output I` by the outputs for input I as JSON.
When standard input ends, the last line tells the most memory the process ever held.
"""

import abc
import argparse
import gc
import itertools
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np

CLOCKS: dict[str, Callable[[], int]] = {"wall": time.perf_counter_ns, "cpu": time.process_time_ns}


class Worker(abc.ABC):
    """One model on one engine. A run starts with the input in an array and ends with the outputs readable by the host."""

    engine: str
    """The engine's name and version."""
    note: str = ""
    """What the reader of the table must know."""
    images_per_run: int = 1
    """Times are of one image: where the engine takes more at once, they are divided by this."""

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Lays out one input (row-major float32 of the shape the worker was started with) as `run` takes it; not timed."""
        return image

    @abc.abstractmethod
    def run(self, image: np.ndarray) -> None:
        """Runs the model on one prepared input."""

    @abc.abstractmethod
    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs of the run before."""


def arguments() -> argparse.ArgumentParser:
    """The options of every worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("inputs", type=pathlib.Path, help="inputs one after the other: little-endian float32, row-major")
    parser.add_argument("--shape", type=lambda text: [int(axis) for axis in text.split("x")], required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    return parser


def serve(options: argparse.Namespace, load: Callable[[], Worker]) -> None:
    """Loads the worker and answers until standard input ends."""
    # Libraries print what they like; the answers keep a channel of their own.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(what: object) -> None:
        print(what if isinstance(what, str) else json.dumps(what), file=answers, flush=True)

    images = np.fromfile(options.inputs, "<f4").reshape(-1, *options.shape)
    start = time.perf_counter()
    worker = load()
    answer({"engine": worker.engine, "note": worker.note, "load_ms": (time.perf_counter() - start) * 1e3})

    inputs = [worker.prepare(image) for image in images]
    clock = CLOCKS[options.clock]
    following = itertools.cycle(inputs)
    gc.collect()
    gc.disable()
    for line in sys.stdin:
        if line.startswith("output "):
            worker.run(inputs[int(line.removeprefix("output "))])
            answer({name: np.asarray(values, np.float32).ravel().tolist() for name, values in worker.outputs().items()})
            continue
        times_ms = []
        for image in itertools.islice(following, int(line)):
            start_ns = clock()
            worker.run(image)
            times_ms.append((clock() - start_ns) / 1e6 / worker.images_per_run)
        answer(" ".join(f"{time_ms:.5f}" for time_ms in times_ms))
    answer({"peak_rss_mb": peak_rss_mb()})


def peak_rss_mb() -> float | None:
    """The most memory this process ever held, if the system tells."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None
