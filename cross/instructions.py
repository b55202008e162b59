#!/usr/bin/env python3
"""Counts the instructions of one inference on emulated ARM processors, and holds them against the budget.

    cross/setup.sh && source its env.sh
    cargo build --release --target aarch64-unknown-linux-gnu --example infer     # or cross/build.sh
    cross/instructions.py                     a table
    cross/instructions.py --markdown          the same for docs/performance.md
    cross/instructions.py --check             exit code 1 if a count is not the stored one, a wrong kernel ran or a bar is missed
    cross/instructions.py --write             store the counts in cross/instructions.toml
    cross/instructions.py --functions neon    where the instructions of the int8 recogniser go; needs a binary with symbols

Counts are not times: a processor executes several instructions at once and waits for memory. They are the same on every machine,
which times are not. Standard library only.
"""

import argparse
import bisect
import collections
import os
import pathlib
import random
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
STORED = ROOT / "cross/instructions.toml"
INT8 = ROOT / "models/mobilefacenet-arcface-192-int8.onnx"
F32 = ROOT / "models/mobilefacenet-arcface-192.onnx"
SIDE_PX = 112
# Runs that are counted after one that is not, and the share by which a count may differ from the stored one: hash tables in the
# standard library are seeded anew in each process.
RUNS = 2
TOLERANCE = 0.01


@dataclass(frozen=True)
class Work:
    """What is counted: a model on an engine, fed with floats or with pictures."""

    name: str
    model: pathlib.Path
    options: tuple[str, ...] = ()
    pictures: bool = False


YARDSTICK = Work("yardstick", F32, ("--engine=yardstick",))
WORKS = (Work("int8", INT8, ("--pictures",), pictures=True), Work("float", F32), YARDSTICK)
TITLES = {"int8": "doorward int8, fed with a picture", "float": "doorward f32", "yardstick": "tract f32 with doorward's PRelu"}


@dataclass(frozen=True)
class Processor:
    """An emulated processor: which instructions it must and must not be given, by work, and the most that int8 may take
    of tract's instructions."""

    name: str
    board: str
    target: str
    emulator: str
    must: dict[str, tuple[str, ...]]
    must_not: dict[str, tuple[str, ...]]
    bar: float | None = None
    variables: dict[str, str] = field(default_factory=dict)


AARCH64 = ("aarch64-unknown-linux-gnu", "qemu-aarch64")
ARMV7 = ("armv7-unknown-linux-gnueabihf", "qemu-arm")
FLOATS = {"float": ("fmla",), "yardstick": ("fmla",)}
PROCESSORS = (
    Processor("cortex-a72", "Raspberry Pi 4", *AARCH64, {"int8": ("smull", "smlal2", "sadalp")} | FLOATS,
              {work: ("sdot", "udot") for work in TITLES}, 0.80),
    Processor("cortex-a76", "Raspberry Pi 5", *AARCH64, {"int8": ("sdot",)} | FLOATS, {"int8": ("sadalp",)}, 0.35),
    Processor("cortex-a7", "32-bit systems", *ARMV7, {"int8": ("vmull.s8", "vmlal.s8", "vpadal.s16"), "yardstick": ("vmla.f32",)}, {},
              variables={"TRACT_CPU_ARM32_NEON": "1"}),
)


class Trouble(Exception):
    """Something that is not there or does not work, with the remedy."""


@dataclass
class Count:
    """The instructions of one inference: all, by name, and by address of the block they are in (counted from the ELF's zero)."""

    total: float
    names: dict[str, float]
    addresses: dict[int, float]


def main() -> int:
    options = arguments()
    try:
        if not options.cross or not (options.cross / "libicount.so").is_file():
            raise Trouble("there is no counter: run cross/setup.sh, and source the env.sh that it names")
        asked = [p for p in PROCESSORS if not options.processor or p.name in options.processor]
        missing = [p.target for p in asked if not binary(p, options)]
        # A table may do with what there is; nothing passes a check that was not counted.
        if missing and (options.check or len(missing) == len(asked)):
            raise Trouble(f"there is no binary for {missing[0]}: run cross/build.sh {missing[0]}, or name it by --infer")
        counts = {p.name: count_all(p, options) for p in asked if binary(p, options)}
        if options.functions is not None:
            return functions(counts, options)
        print(markdown(counts) if options.markdown else table(counts))
        if options.write:
            STORED.write_text(stored_text(counts))
        faults = check(counts) if options.check else []
    except Trouble as trouble:
        print(f"instructions: {trouble}", file=sys.stderr)
        return 2
    for fault in faults:
        print(f"instructions: {fault}", file=sys.stderr)
    return 1 if faults else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--infer", action="append", default=[], metavar="TARGET=FILE",
                        help="the example `infer` for a target (default: target/TARGET/release/examples/infer)")
    parser.add_argument("--processor", action="append", choices=[p.name for p in PROCESSORS], help="only this one; may be repeated")
    parser.add_argument("--cross", type=pathlib.Path, default=os.environ.get("DOORWARD_CROSS"), metavar="FOLDER",
                        help="what cross/setup.sh has made: the counter and the processors' folders (default: $DOORWARD_CROSS)")
    parser.add_argument("--qemu", default=os.environ.get("DOORWARD_COUNTING_QEMU", ""), metavar="FOLDER",
                        help="where qemu-aarch64 and qemu-arm are that take plugins, QEMU 7.2 to 8.2 (default: $DOORWARD_COUNTING_QEMU, else PATH)")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--functions", metavar="NAME", help="int8 by function, those whose name holds NAME ('' for all)")
    return parser.parse_args()


def binary(processor: Processor, options: argparse.Namespace) -> pathlib.Path | None:
    """The example `infer` for the processor; none if it was not built."""
    named = dict(pair.partition("=")[::2] for pair in options.infer)
    if processor.target in named:
        file = pathlib.Path(named[processor.target])
        if not file.is_file():
            raise Trouble(f"--infer {processor.target}={file}: there is no such file")
        return file
    folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    file = folder / processor.target / "release/examples/infer"
    return file if file.is_file() else None


def count_all(processor: Processor, options: argparse.Namespace) -> dict[str, Count]:
    emulator = os.path.join(options.qemu, processor.emulator)
    if not shutil.which(emulator):
        raise Trouble(f"{emulator} is missing: apt install qemu-user, or run cross/setup.sh")
    with tempfile.TemporaryDirectory() as folder:
        return {work.name: count(processor, work, emulator, binary(processor, options), options.cross, pathlib.Path(folder)) for work in WORKS}


def count(processor: Processor, work: Work, emulator: str, infer: pathlib.Path, cross: pathlib.Path, scratch: pathlib.Path) -> Count:
    """Counts `RUNS` inferences: between what `infer` writes after one run and what it writes after those."""
    made, inputs = scratch / "counts", scratch / "inputs"
    inputs.write_bytes(picture() if work.pictures else floats(picture()))
    made.unlink(missing_ok=True)
    command = [emulator, "-U", "LD_LIBRARY_PATH", "-cpu", processor.name, "-L", cross / "processors" / processor.name,
               "-plugin", f"{cross / 'libicount.so'},out={made},first=2,last=3", infer, work.model, inputs, f"--shape=1x3x{SIDE_PX}x{SIDE_PX}", *work.options]
    # The libraries of a qemu that cross/setup.sh has unpacked. The program gets none of this machine's variables, DOORWARD_ISA
    # and tract's among them.
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": f"{cross}/qemu/usr/lib/x86_64-linux-gnu"} | processor.variables
    ran = subprocess.run(command, input=f"1\n{RUNS}\n", env=environment, capture_output=True, text=True)
    if ran.returncode or not made.is_file():
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise Trouble(f"{shlex.join(map(str, command))} ended with {ran.returncode}: {said[-1] if said else 'nothing said'}"
                      " (the plugin is for QEMU 7.2 to 8.2 that is dynamically linked: cross/setup.sh finds one)")
    return parse(made)


def picture() -> bytes:
    return random.Random(1).randbytes(SIDE_PX * SIDE_PX * 3)


def floats(pixels: bytes) -> bytes:
    """As planes."""
    planes = [(pixel - 127.5) / 128 for channel in range(3) for pixel in pixels[channel::3]]
    return struct.pack(f"<{len(planes)}f", *planes)


def parse(file: pathlib.Path) -> Count:
    total, code = 0, 0
    names: collections.Counter[str] = collections.Counter()
    addresses: collections.Counter[int] = collections.Counter()
    for line in file.read_text().splitlines():
        kind, *words = line.split()
        if kind == "writes" and int(words[0]) != 4:
            raise Trouble(f"infer wrote {words[0]} times, not 4: does this plugin belong to it?")
        if kind == "code":
            code = int(words[0], 16)
        if kind == "block":
            address, times, instructions = int(words[0], 16), int(words[1]), words[2:]
            total += times * len(instructions)
            addresses[address - code] += times * len(instructions)
            for name in instructions:
                names[name] += times
    return Count(total / RUNS, {name: n / RUNS for name, n in names.items()}, {a: n / RUNS for a, n in addresses.items()})


# --- what is shown and checked ---------------------------------------------------------------------------------------


def ratio(counts: dict[str, Count], work: str) -> float:
    return counts[work].total / counts[YARDSTICK.name].total


def shown(processor: Processor, work: str) -> tuple[str, ...]:
    """The instructions that tell which kernels ran."""
    return processor.must.get(work, ())


def lines(counts: dict[str, dict[str, Count]]) -> list[tuple[str, str, str, str, str]]:
    made = []
    for processor in PROCESSORS:
        for work, counted in counts.get(processor.name, {}).items():
            kernels = ", ".join(f"{name} {counted.names.get(name, 0) / 1e6:.1f} M" for name in shown(processor, work))
            made.append((f"{processor.name} ({processor.board})", TITLES[work], f"{counted.total / 1e6:.1f} M",
                         f"{ratio(counts[processor.name], work):.3f}", kernels))
    return made


HEADER = ("processor", "one inference", "instructions", "to tract", "of them")


def table(counts: dict[str, dict[str, Count]]) -> str:
    rows = [HEADER, *lines(counts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def markdown(counts: dict[str, dict[str, Count]]) -> str:
    rows = [HEADER, ("---", "---", "--:", "--:", "---"), *lines(counts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def check(counts: dict[str, dict[str, Count]]) -> list[str]:
    if not STORED.is_file():
        raise Trouble(f"{STORED} is missing: --write makes it")
    stored = tomllib.loads(STORED.read_text())
    faults = []
    for processor in PROCESSORS:
        for work, counted in counts.get(processor.name, {}).items():
            title = f"{processor.name}, {TITLES[work]}"
            faults += [f"{title}: no {name} ran, the kernels are the wrong ones"
                       for name in processor.must.get(work, ()) if not counted.names.get(name)]
            faults += [f"{title}: {counted.names[name]:.0f} {name} ran, which this processor's kernels do not use"
                       for name in processor.must_not.get(work, ()) if counted.names.get(name)]
            known = stored.get(processor.name, {}).get(work)
            if known is None:
                faults.append(f"{title}: no count is stored, --write stores it")
            faults += [f"{title}: {found} {name}, {known.get(name, 0)} are stored in {STORED.name}; --write stores what is meant to be so"
                       for name, found in figures(processor, work, counted).items()
                       if known is not None and abs(found - known.get(name, 0)) > TOLERANCE * known.get(name, 0)]
        if processor.name in counts and processor.bar and ratio(counts[processor.name], "int8") > processor.bar:
            faults.append(f"{processor.name}: int8 takes {ratio(counts[processor.name], 'int8'):.3f} of tract's instructions,"
                          f" {processor.bar} are allowed")
    return faults


def figures(processor: Processor, work: str, counted: Count) -> dict[str, int]:
    """What is stored of a count: all instructions, and those that tell which kernels ran."""
    return {"instructions": round(counted.total)} | {name: round(counted.names.get(name, 0)) for name in shown(processor, work)}


def stored_text(counts: dict[str, dict[str, Count]]) -> str:
    """The stored counts, with those of processors that were not counted now kept."""
    old = tomllib.loads(STORED.read_text()) if STORED.is_file() else {}
    text = "# Instructions of one inference on emulated processors; written by cross/instructions.py --write, held by --check.\n"
    for processor in PROCESSORS:
        for work in TITLES:
            if processor.name in counts:
                values = figures(processor, work, counts[processor.name][work])
            else:
                values = old.get(processor.name, {}).get(work, {})
            if values:
                text += f"\n[{processor.name}.{work}]\n" + "".join(f'"{name}" = {n}\n' for name, n in values.items())
    return text


# --- by function -----------------------------------------------------------------------------------------------------


def functions(counts: dict[str, dict[str, Count]], options: argparse.Namespace) -> int:
    for processor in PROCESSORS:
        if processor.name not in counts:
            continue
        starts, names, first = symbols(binary(processor, options))
        for work, counted in counts[processor.name].items():
            by_name: collections.Counter[str] = collections.Counter()
            for address, n in counted.addresses.items():
                at = bisect.bisect_right(starts, address + first) - 1
                inside = at >= 0 and address + first < starts[-1] + 4096
                by_name[names[at] if inside else "(shared libraries)"] += n
            print(f"\n{processor.name}, {TITLES[work]}: {counted.total:.0f}")
            for name, n in by_name.most_common(40):
                if options.functions in name:
                    print(f"{n:12.0f} {100 * n / counted.total:5.1f}%  {name}")
    return 0


def symbols(file: pathlib.Path) -> tuple[list[int], list[str], int]:
    """An ELF file's functions, those of assembly too: where they start, their names, and the first address of code."""
    data = file.read_bytes()
    wide = data[4] == 2
    program, sections = struct.unpack_from("<QQ" if wide else "<II", data, 32 if wide else 28)
    program_size, program_count, section_size, section_count = struct.unpack_from("<HHHH", data, 54 if wide else 42)
    first = None
    for header in range(program_count):
        at = program + header * program_size
        if wide:
            kind, flags, _, address = struct.unpack_from("<IIQQ", data, at)
        else:
            kind, _, address, _, _, _, flags = struct.unpack_from("<IIIIIII", data, at)
        if kind == 1 and flags & 1 and first is None:
            first = address
    layout = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
    headers = [struct.unpack_from(layout, data, sections + i * section_size) for i in range(section_count)]
    found_symbols = []
    for header in headers:
        if header[1] != 2:
            continue
        strings = headers[header[6]][4]
        for at in range(header[4], header[4] + header[5], header[9]):
            if wide:
                name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", data, at)
            else:
                name, value, _, info, _, section = struct.unpack_from("<IIIBBH", data, at)
            start = strings + name
            text = data[start:data.index(b"\0", start)].decode(errors="replace")
            if info & 15 in (0, 2) and section and text and not text.startswith(("$", ".")):
                found_symbols.append((value & ~1 if not wide else value, text))
    if not found_symbols or first is None:
        raise Trouble(f"{file} has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=false")
    found_symbols.sort()
    return [value for value, _ in found_symbols], [name for _, name in found_symbols], first


if __name__ == "__main__":
    sys.exit(main())
