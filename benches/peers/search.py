"""Searches galleries of several sizes with doorward and with other libraries, side by side: who takes how long, and who is right.

    python benches/peers/search.py [--subjects 1000,10000,100000,1000000] [--quick] [--json FILE] [--svg FILE]

Needs what run.py needs, 2 GB of free disk for a million subjects and 3 GB of memory. docs/search.md tells the method.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import sys
import tempfile
import textwrap

import environment

REFERENCE = "FAISS 8-bit"
DIMENSION = 192
# A graph over more takes many minutes to build.
MOST_IN_GRAPH = 100_000
CENTRES = 1000
# Vectors at a time while looking for the truth: 77 MB in double precision.
TRUTH_PART = 50_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--subjects", metavar="N,M", default="1000,10000,100000,1000000",
                        help="sizes of the gallery (default: %(default)s)")
    parser.add_argument("--probes", type=int, default=1000, help="half mated, half not (default: %(default)s)")
    parser.add_argument("--core", type=int, help="the processor core to use (default: the last)")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu", help="what is measured (default: processor time)")
    parser.add_argument("--isa", metavar="NAMES", default="", help="kernel families to hold doorward to, too, with commas")
    parser.add_argument("--only", metavar="WORDS", help=f"only entries whose names hold one of these; {REFERENCE} always runs")
    parser.add_argument("--quick", action="store_true", help="a short run, to see whether all is well")
    parser.add_argument("--rounds", type=int, help="turns of each (default: 40)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="a chart of the largest gallery")
    parser.add_argument("--worker", type=pathlib.Path, metavar="BINARY",
                        help="examples/search.rs, compiled (default: cargo compiles it)")
    parser.add_argument("--cache", type=pathlib.Path, metavar="DIR", default=environment.default_cache(),
                        help="where what is made once is kept (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    cache = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    failed_packages = environment.enter(cache)
    # From here on in the environment, whose packages these need.
    import chart
    import entries
    import race
    import report

    worker = options.worker.resolve() if options.worker else entries.build("search")
    sizes = [int(size) for size in options.subjects.split(",")]
    tables = []
    for subjects in sizes:
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            vectors, probes = pathlib.Path(temporary, "vectors.bin"), pathlib.Path(temporary, "probes.bin")
            truth = make(vectors, probes, subjects, options.probes)
            everyone = who(entries.Entry, vectors, worker, subjects, options.isa.split(",") if options.isa else [])
            if options.only:
                wanted = [word.strip() for word in options.only.split(",")]
                everyone = [e for e in everyone if e.name == REFERENCE or any(word in e.name for word in wanted)]
            plan = race.Plan(
                shape=[DIMENSION], inputs=probes, input_count=options.probes, output_names={"rows", "similarities"}, threads=1,
                cores=[sorted(os.sched_getaffinity(0))[-1] if options.core is None else options.core], clock=options.clock,
                rounds=options.rounds or (5 if options.quick else 40), runs=10, discarded=2)
            results, reasons = race.run(everyone, plan, failed_packages, cache / "logs")
        tables.append(table(subjects, results, reasons, truth))
        print(text(tables[-1]), flush=True)

    made = {"date": datetime.date.today().isoformat(), "machine": report.machine(),
            "method": {"dimension": DIMENSION, "probes": options.probes, "clock": options.clock, "threads": 1,
                       "rounds": plan.rounds, "runs_a_round": plan.runs, "discarded_a_round": plan.discarded},
            "tables": tables}
    machine = made["machine"]
    under = (f"{machine['processor']} ({', '.join(machine['instructions']) or machine['architecture']}), {made['date']}; "
             f"{'processor time' if options.clock == 'cpu' else 'time on the clock'} of {plan.rounds} rounds of {plan.runs} searches")
    print(under)
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n")
    if options.svg:
        over = f"{tables[-1]['subjects']:,} subjects of {DIMENSION} components, one thread"
        options.svg.write_text(chart.drawn(tables[-1]["rows"], over, under, "to_reference", REFERENCE))


def who(entry: type, vectors: pathlib.Path, worker: pathlib.Path | str, subjects: int, families: list[str]) -> list:
    """Everyone who searches `vectors`."""

    def python(name: str, precision: str, package: str, *options: str):
        program = [sys.executable, pathlib.Path(__file__).parent / "workers" / f"search_{package.removesuffix('-cpu')}.py"]
        return entry(name, precision, program, vectors, options, package=package)

    def rust(name: str, family: str | None = None):
        absent = worker if isinstance(worker, str) else None
        return entry(name, "int8", [worker], vectors, family=family, absent=absent)

    made = [python(REFERENCE, "int8", "faiss-cpu", "--precision", "int8"),
            python("FAISS flat", "f32", "faiss-cpu", "--precision", "f32"),
            python("usearch exact i8", "int8", "usearch")]
    if subjects <= MOST_IN_GRAPH:
        made.append(python("usearch HNSW i8", "int8", "usearch", "--graph"))
    return [*made, rust("doorward"), *(rust(f"doorward {family}", family) for family in families)]


@dataclasses.dataclass
class Truth:
    """What comparing everybody in double precision finds."""

    best: list[int]
    similarities: list[float]
    """Of each probe to its best."""


def make(vectors: pathlib.Path, probes: pathlib.Path, subjects: int, probe_count: int) -> Truth:
    """Writes the gallery and the probes, the same for the same sizes, and looks for the truth.

    Half of the subjects lie anywhere; half around one of a thousand centres, with a cosine of about 0.5 to each other, as faces
    that a recogniser finds alike; one in a hundred is a twin of the subject before (0.97). Half of the probes are mated, with a
    cosine of about 0.6 to their subject; half are of nobody in the gallery, drawn as the subjects are.
    """
    import numpy as np

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def drawn(chance, count):
        rows = unit(chance.standard_normal((count, DIMENSION)))
        clustered = chance.random(count) < 0.5
        rows[clustered] += centres[chance.integers(CENTRES, size=clustered.sum())]
        return unit(rows)

    print(f"making {subjects:,} subjects and looking for the truth", file=sys.stderr, flush=True)
    centres = unit(np.random.default_rng(1).standard_normal((CENTRES, DIMENSION)))
    chance = np.random.default_rng([2, subjects])
    mated = np.sort(chance.choice(subjects, probe_count // 2, replace=probe_count // 2 > subjects))
    wanted = []
    with vectors.open("wb") as file:
        for start in range(0, subjects, TRUTH_PART):
            rows = drawn(chance, min(TRUTH_PART, subjects - start))
            twins = np.flatnonzero(chance.random(len(rows)) < 0.01)
            twins = twins[twins > 0]
            rows[twins] = unit(rows[twins - 1] + 0.25 * unit(chance.standard_normal((len(twins), DIMENSION))))
            wanted.append(rows[mated[(mated >= start) & (mated < start + len(rows))] - start])
            rows.astype("<f4").tofile(file)
    wanted = np.concatenate(wanted)
    asked = unit(wanted + 4 / 3 * unit(chance.standard_normal(wanted.shape)))
    asked = np.concatenate([asked, drawn(chance, probe_count - len(asked))]).astype("<f4")
    # Mated and others take turns, so that any few of them are a fair sample.
    asked = asked[chance.permutation(len(asked))]
    asked.tofile(probes)

    best, similarities = np.zeros(len(asked), int), np.full(len(asked), -2.0)
    with vectors.open("rb") as file:
        for start in range(0, subjects, TRUTH_PART):
            rows = np.fromfile(file, "<f4", TRUTH_PART * DIMENSION).reshape(-1, DIMENSION).astype(np.float64)
            for first in range(0, len(asked), 250):
                some = slice(first, first + 250)
                products = asked[some].astype(np.float64) @ rows.T
                found = products.argmax(axis=1)
                top = products[np.arange(len(found)), found]
                better = top > similarities[some]
                best[some][better] = found[better] + start
                similarities[some][better] = top[better]
    return Truth(best.tolist(), similarities.tolist())


def table(subjects: int, results: list, reasons: dict[str, str], truth: Truth) -> dict:
    """The figures of one gallery, fastest first."""
    medians = {result.entry.name: statistics.median(result.times_ms) for result in results}
    rows = []
    for result in results:
        quartiles = statistics.quantiles(result.times_ms, n=4)
        found = [int(output["rows"][0]) for output in result.outputs]
        differences = [abs(output["similarities"][0] - similarity)
                       for output, similarity in zip(result.outputs, truth.similarities, strict=True)]
        reference = medians.get(REFERENCE)
        rows.append({
            "name": result.entry.name, "engine": result.ready["engine"], "precision": result.entry.precision, "own": result.entry.own,
            "isa": result.ready.get("isa"), "note": result.ready.get("note", ""), "load_ms": result.ready["load_ms"],
            "median_ms": medians[result.entry.name], "p25_ms": quartiles[0], "p75_ms": quartiles[2],
            "least_ms": min(result.times_ms), "to_reference": medians[result.entry.name] / reference if reference else None,
            "top1_right": sum(a == b for a, b in zip(found, truth.best, strict=True)), "probes": len(found),
            "similarity_off_by_at_most": max(differences), "peak_rss_mb": result.peak_rss_mb})
    rows.sort(key=lambda row: row["median_ms"])
    return {"subjects": subjects, "rows": rows,
            "not_run": [{"name": name, "reason": reason} for name, reason in reasons.items()]}


def text(made: dict) -> str:
    """The table for people."""
    width = max((len(row["name"]) for row in made["rows"]), default=0)
    lines = [f"{made['subjects']:,} subjects of {DIMENSION} components",
             f"{'':{width}}  ms          quarter to         to FAISS  top-1 right  similarity   load     peak",
             f"{'':{width}}  median      three quarters     8-bit     of {made['rows'][0]['probes'] if made['rows'] else 0:<8}  off by <=    s        MB"]
    for row in made["rows"]:
        spread = f"{row['p25_ms']:.3f} .. {row['p75_ms']:.3f}"
        ratio = f"{row['to_reference']:8.2f}" if row["to_reference"] else f"{'-':>8}"
        lines.append(f"{row['name']:{width}}  {row['median_ms']:8.3f}  {spread:>20}  {ratio}  {row['top1_right']:11}"
                     f"  {row['similarity_off_by_at_most']:10.7f}  {row['load_ms'] / 1e3:7.1f}  {row['peak_rss_mb'] or 0:7.0f}")
    for missing in made["not_run"]:
        lines += textwrap.wrap(f"not run: {missing['name']}: {missing['reason']}", 118, subsequent_indent="  ")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
