"""Runs one model on doorward and on other inference engines, side by side, and prints who takes how long.

    python benches/peers/run.py [--model arcface|yunet|sface] [--models DIR] [--threads 1|2] [--quick] [--json FILE] [--svg FILE]

Needs Linux, Python 3.11, cargo, and npm for the TensorFlow Lite file. The engines are pip packages, pinned in requirements.txt
and installed once into an environment of their own in the cache folder. An engine that cannot be installed or run is named
with its reason; the others go on. docs/performance.md tells the method.
"""

import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile

import environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = {"arcface": ("mobilefacenet-arcface-192", "112x112"), "yunet": ("yunet-2023mar", "320x320"),
          "sface": ("sface-2021dec", "112x112")}
QUICK, THOROUGH = {"rounds": 5, "runs": 5, "discarded": 2}, {"rounds": 40, "runs": 10, "discarded": 3}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", choices=MODELS, default="arcface")
    parser.add_argument("--models", type=pathlib.Path, metavar="DIR", default=ROOT / "models",
                        help="folder of the model's files (default: the committed ones; sface: what models/build.py sface made)")
    parser.add_argument("--size", metavar="WxH", help="of the input in pixels (default: 320x320 for yunet, 112x112 for the others)")
    parser.add_argument("--int8", type=pathlib.Path, metavar="FILE", help="the quantised model (default: models/MODEL-int8.onnx)")
    parser.add_argument("--pictures", type=pathlib.Path, metavar="DIR", help="other inputs: aligned crops, or frames")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1)
    parser.add_argument("--cores", metavar="N,M", help="the processor cores to use (default: the last as many as threads)")
    parser.add_argument("--clock", choices=("cpu", "wall"),
                        help="what is measured (default: processor time for one thread, the clock on the wall for two)")
    parser.add_argument("--isa", metavar="NAMES",
                        help="kernel families to hold doorward to, with commas (default: all of this kind of processor)")
    parser.add_argument("--only", metavar="WORDS",
                        help="only entries whose names hold one of these, with commas; onnxruntime f32 always runs")
    parser.add_argument("--quick", action="store_true", help="a short run, to see whether all is well")
    parser.add_argument("--rounds", type=int, help="turns of each engine")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--infer", type=pathlib.Path, metavar="BINARY",
                        help="examples/infer.rs, compiled (default: cargo compiles it)")
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
    import onnx
    import pictures
    import race
    import report

    name, size = MODELS[options.model]
    width, height = map(int, (options.size or size).split("x"))
    shape = [1, 3, height, width]
    f32 = options.models.resolve() / f"{name}.onnx"
    if not f32.is_file():
        remedy = ": name the folder that models/build.py sface made by --models" if options.model == "sface" else ""
        sys.exit(f"{f32} is not there{remedy}")
    files = entries.Files(f32, resolved(options.int8) or f32.with_name(f"{name}-int8.onnx"))
    clock = options.clock or ("cpu" if options.threads == 1 else "wall")
    if clock == "cpu" and options.threads > 1:
        sys.exit("--clock cpu adds up the threads' times: it is of use with one thread only")
    available = sorted(os.sched_getaffinity(0))
    cores = [int(core) for core in options.cores.split(",")] if options.cores else available[-options.threads:]
    if len(cores) != options.threads or not set(cores) <= set(available):
        sys.exit(f"{options.threads} of the cores {available} are needed, not {cores}")

    inputs = pictures.inputs(pictures.card(f32), shape, options.pictures)
    output_names = [output.name for output in onnx.load(f32).graph.output]
    families = options.isa.split(",") if options.isa else entries.families()
    infer = resolved(options.infer) or entries.build("infer")
    everyone = entries.entries(files, cache, infer, output_names[0], families)
    if options.only:
        wanted = [word.strip() for word in options.only.split(",")]
        everyone = [e for e in everyone if e.name == entries.REFERENCE or any(word in e.name for word in wanted)]
    with tempfile.TemporaryDirectory() as temporary:
        file = pathlib.Path(temporary, "inputs.bin")
        inputs.astype("<f4").tofile(file)
        extent = dict(QUICK if options.quick else THOROUGH)
        if options.rounds:
            extent["rounds"] = options.rounds
        plan = race.Plan(shape=shape, inputs=file, input_count=len(inputs), output_names=set(output_names),
                         threads=options.threads, cores=cores, clock=clock, **extent)
        results, reasons = race.run(everyone, plan, failed_packages, cache / "logs")

    made = report.document(report.rows(results), reasons, plan, f32, datetime.date.today().isoformat())
    print(report.text(made), end="")
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n")
    if options.svg:
        options.svg.write_text(chart.svg(made))


def resolved(path: pathlib.Path | None) -> pathlib.Path | None:
    return path.resolve() if path else None


if __name__ == "__main__":
    main()
