"""The measurement: a process an engine, all alive and bound to the same processor cores, which take turns."""

import dataclasses
import json
import math
import os
import pathlib
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable

from entries import Entry
from environment import last_line

# Loading may convert a model, a turn may be of an engine twenty times as slow as the others.
PATIENCE_S = 180
# Threads that wait for the next run may spin a while before they sleep (ncnn's here 20 ms); until then they take the core
# of the engine that comes next.
PAUSE_S = 0.05


class Failure(Exception):
    """An engine that cannot go on, and why."""


# What ends an engine's part, but not the others': it fails, breaks off, or answers something else than was asked.
STOPPERS = (Failure, OSError, ValueError, KeyError, subprocess.TimeoutExpired)


@dataclasses.dataclass
class Result:
    """What an engine did."""

    entry: Entry
    ready: dict
    times_ms: list[float] = dataclasses.field(default_factory=list)
    outputs: list[dict[str, list[float]]] = dataclasses.field(default_factory=list)
    peak_rss_mb: float | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long, and on what."""

    shape: list[int]
    inputs: pathlib.Path
    input_count: int
    output_names: set[str]
    threads: int
    cores: list[int]
    clock: str
    rounds: int
    runs: int
    """Runs of a turn that count."""
    discarded: int
    """Runs before them that do not: the caches still belong to the engine before."""


class Runner:
    """A worker process."""

    def __init__(self, entry: Entry, plan: Plan, logs: pathlib.Path):
        self.log = logs / f"{entry.name.replace(' ', '-').replace('/', '-')}.log"
        command = [*entry.program, entry.model, plan.inputs, "--shape", "x".join(map(str, plan.shape)),
                   "--threads", str(plan.threads), "--clock", plan.clock, *entry.options]
        environment = os.environ | {"OMP_NUM_THREADS": str(plan.threads)}
        environment.pop("DOORWARD_ISA", None)
        if entry.family:
            environment["DOORWARD_ISA"] = entry.family
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
                preexec_fn=lambda: os.sched_setaffinity(0, plan.cores))
        try:
            self.result = Result(entry, self.hear())
            if entry.family and entry.family not in self.result.ready.get("isa", "").split():
                raise Failure(f"it runs on {self.result.ready.get('isa')} all the same")
        except Exception:
            self.stop()
            raise

    def ask(self, question: str) -> str:
        """A line for a line."""
        try:
            print(question, file=self.process.stdin, flush=True)
        except BrokenPipeError as error:
            raise Failure(self.last_words()) from error
        return self.line()

    def hear(self) -> dict:
        return json.loads(self.line())

    def line(self) -> str:
        """The worker's next line. No more than one is ever under way, so that nothing waits unseen in a buffer."""
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            raise Failure(f"no answer within {PATIENCE_S} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failure(self.last_words())
        return line.strip()

    def last_words(self) -> str:
        """What the worker said before it ended."""
        code = self.process.wait()
        return f"{last_line(self.log.read_text(errors='replace'))} (exit code {code})"

    def turn(self, plan: Plan) -> list[float]:
        """The times of one turn, in milliseconds."""
        if plan.threads > 1:
            time.sleep(PAUSE_S)
        times_ms = [float(time_ms) for time_ms in self.ask(str(plan.discarded + plan.runs)).split()]
        return times_ms[plan.discarded:]

    def hear_outputs(self, plan: Plan) -> None:
        """Asks for the outputs for every input."""
        for index in range(plan.input_count):
            answer = json.loads(self.ask(f"output {index}"))
            if missing := plan.output_names - answer.keys():
                raise Failure(f"it has no output {', '.join(sorted(missing))}")
            outputs = {name: answer[name] for name in plan.output_names}
            if not all(math.isfinite(value) for values in outputs.values() for value in values):
                raise Failure("its outputs are not all finite numbers")
            self.result.outputs.append(outputs)

    def finish(self) -> None:
        """Lets the worker end by itself and hears what memory it took."""
        self.process.stdin.close()
        self.result.peak_rss_mb = self.hear()["peak_rss_mb"]
        self.process.wait(PATIENCE_S)

    def stop(self) -> None:
        """Ends the worker whatever it is doing."""
        self.process.kill()
        self.process.wait()


def run(entries: list[Entry], plan: Plan, failed_packages: dict[str, str],
        logs: pathlib.Path) -> tuple[list[Result], dict[str, str]]:
    """Measures all; the results, and of those who could not take part or not go on, the reason by name."""
    logs.mkdir(parents=True, exist_ok=True)
    reasons: dict[str, str] = {}
    runners: list[Runner] = []
    try:
        for entry in entries:
            reason = entry.absent or failed_packages.get(entry.package or "")
            if reason:
                reasons[entry.name] = reason
                continue
            print(f"loading {entry.name}", file=sys.stderr, flush=True)
            try:
                runners.append(Runner(entry, plan, logs))
            except STOPPERS as error:
                reasons[entry.name] = str(error)

        def each(step: Callable[[Runner], object]) -> None:
            """Does a step with each in turn; who fails in it goes."""
            for runner in list(runners):
                try:
                    step(runner)
                except STOPPERS as error:
                    reasons[runner.result.entry.name] = str(error)
                    runners.remove(runner)
                    runner.stop()

        each(lambda runner: runner.turn(plan))
        order = random.Random(0)
        for number in range(plan.rounds):
            print(f"round {number + 1} of {plan.rounds}", end="\r", file=sys.stderr, flush=True)
            # Another order each time: nobody always comes after the same neighbour.
            order.shuffle(runners)
            each(lambda runner: runner.result.times_ms.extend(runner.turn(plan)))
        print(file=sys.stderr)
        each(lambda runner: runner.hear_outputs(plan))
        each(Runner.finish)
        kept = {runner.result.entry.name: runner.result for runner in runners}
        return [kept[entry.name] for entry in entries if entry.name in kept], reasons
    finally:
        for runner in runners:
            runner.stop()
