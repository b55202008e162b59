"""Who takes part: each engine and precision, and the command that starts its worker."""

import dataclasses
import json
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORKERS = HERE / "workers"
REFERENCE = "onnxruntime f32"
# The kernel families doorward can be held to, best first.
FAMILIES = {"x86_64": ["avx512vnni", "avxvnni", "avx2", "portable"], "aarch64": ["dotprod", "neon", "portable"]}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row of the table."""

    name: str
    precision: str
    program: list[str | pathlib.Path]
    """The worker."""
    model: pathlib.Path
    options: tuple[str | pathlib.Path, ...] = ()
    """Those that not all workers have in common."""
    family: str | None = None
    """The kernel family doorward is held to (DOORWARD_ISA)."""
    package: str | None = None
    """The package it cannot do without."""
    absent: str | None = None
    """Why it cannot be run at all."""

    @property
    def own(self) -> bool:
        """Ours, and so no peer."""
        return self.name.startswith("doorward")


@dataclasses.dataclass(frozen=True)
class Files:
    """The model in its precisions."""

    f32: pathlib.Path
    int8: pathlib.Path


def entries(files: Files, cache: pathlib.Path, infer: pathlib.Path | str, output_name: str, families: list[str]) -> list[Entry]:
    """All of them. `infer` is the Rust worker, or why there is none; `output_name` is the model's first output."""

    def python(name: str, precision: str, package: str, model: pathlib.Path, *options: str | pathlib.Path) -> Entry:
        program = [sys.executable, WORKERS / f"run_{package.removeprefix('ai-edge-')}.py"]
        return Entry(name, precision, program, model, options, package=package, absent=missing(model))

    def rust(name: str, precision: str, model: pathlib.Path, *options: str, family: str | None = None) -> Entry:
        absent = infer if isinstance(infer, str) else missing(model)
        return Entry(name, precision, [infer], model, options, family=family, absent=absent)

    made = [
        python(REFERENCE, "f32", "onnxruntime", files.f32),
        python("onnxruntime int8", "int8", "onnxruntime", files.int8),
        python("OpenVINO f32", "f32", "openvino", files.f32, "--precision", "f32"),
        python("OpenVINO default", "its choice", "openvino", files.f32),
        python("OpenVINO int8", "int8", "openvino", files.int8),
        python("OpenVINO int8, rest f32", "int8", "openvino", files.int8, "--precision", "f32"),
        python("ncnn f32", "f32", "ncnn", files.f32, "--cache", cache),
        tflite(python, files.f32, cache, output_name),
        rust("tract f32", "f32", files.f32, "--engine=stock"),
        rust("tract int8", "int8", files.int8, "--engine=stock"),
        rust("doorward f32", "f32", files.f32),
        rust("doorward int8", "int8", files.int8),
    ]
    return made + [rust(f"doorward int8 {family}", "int8", files.int8, family=family) for family in families]


def missing(model: pathlib.Path) -> str | None:
    return None if model.exists() else f"there is no file {model.name}"


def tflite(python, f32: pathlib.Path, cache: pathlib.Path, output_name: str) -> Entry:
    """LiteRT runs the file the ONNX one was made from, fetched and checked as models/build.py does it."""
    name, file = "TFLite/XNNPACK f32", cache / f32.with_suffix(".tflite").name
    if not file.exists():
        sys.path.insert(0, str(ROOT / "models"))
        try:
            import build

            model = next((m for m in build.MODELS if m.file == f32.name and m.member.endswith(".tflite")), None)
            if model is None:
                return Entry(name, "f32", [], file, absent="the model was not published as a TensorFlow Lite file")
            file.write_bytes(build.read(model, cache))
        except (Exception, SystemExit) as error:
            return Entry(name, "f32", [], file, absent=f"its model file could not be fetched: {error}")
    return python(name, "f32", "ai-edge-litert", file, "--output-name", output_name)


def families() -> list[str]:
    """The kernel families worth asking for on this machine."""
    return FAMILIES.get(platform.machine(), ["portable"])


def build(example: str) -> pathlib.Path | str:
    """A Rust worker, compiled if need be; or why there is none."""
    command = ["cargo", "build", "--release", "--locked", "--example", example, "--message-format", "json-render-diagnostics"]
    try:
        built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"the worker could not be built: {error}"
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == example and message.get("executable"):
            return pathlib.Path(message["executable"])
    return "cargo built the worker but did not say where"
