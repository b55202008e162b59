"""What came out: the figures of each row, as text and as JSON."""

import dataclasses
import hashlib
import os
import pathlib
import platform
import statistics
import textwrap

import numpy as np

from entries import REFERENCE
from race import Plan, Result


@dataclasses.dataclass
class Row:
    """One engine's line."""

    name: str
    engine: str
    precision: str
    own: bool
    isa: str | None
    note: str
    load_ms: float
    median_ms: float
    p25_ms: float
    p75_ms: float
    least_ms: float
    to_onnxruntime_f32: float | None
    to_fastest_peer: float | None
    to_fastest_f32_peer: float | None
    cosine_mean: float | None
    cosine_least: float | None
    peak_rss_mb: float | None


def rows(results: list[Result]) -> list[Row]:
    """The rows, fastest first."""
    medians = {result.entry.name: statistics.median(result.times_ms) for result in results}
    peers = [result for result in results if not result.entry.own]
    fastest = min((medians[peer.entry.name] for peer in peers), default=None)
    fastest_f32 = min((medians[peer.entry.name] for peer in peers if peer.entry.precision == "f32"), default=None)
    reference = next((result for result in results if result.entry.name == REFERENCE), None)
    made = []
    for result in results:
        median = medians[result.entry.name]
        p25, _, p75 = statistics.quantiles(result.times_ms, n=4)
        cosines = []
        if reference:
            cosines = [cosine(ours, theirs) for ours, theirs in zip(result.outputs, reference.outputs, strict=True)]
        made.append(Row(
            name=result.entry.name, engine=result.ready["engine"], precision=result.entry.precision, own=result.entry.own,
            isa=result.ready.get("isa"), note=result.ready.get("note", ""), load_ms=result.ready["load_ms"],
            median_ms=median, p25_ms=p25, p75_ms=p75, least_ms=min(result.times_ms),
            to_onnxruntime_f32=median / medians[REFERENCE] if reference else None,
            to_fastest_peer=median / fastest if fastest else None,
            to_fastest_f32_peer=median / fastest_f32 if fastest_f32 else None,
            cosine_mean=statistics.fmean(cosines) if cosines else None, cosine_least=min(cosines, default=None),
            peak_rss_mb=result.peak_rss_mb))
    return sorted(made, key=lambda row: row.median_ms)


def cosine(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> float:
    """The cosine between two engines' outputs for one input.

    Outputs whose names differ by a number at the end (cls_8, cls_16, cls_32) are one: a stride without a face holds noise only.
    Of several kinds of output the least cosine counts, because large values would hide what is wrong with small ones.
    Outputs of another size have nothing in common: 0.
    """
    kinds: dict[str, list[str]] = {}
    for name in theirs:
        kinds.setdefault(name.rstrip("0123456789"), []).append(name)
    found = []
    for names in kinds.values():
        a, b = (np.array([value for name in names for value in outputs[name]]) for outputs in (ours, theirs))
        if a.shape != b.shape:
            return 0.0
        length = np.linalg.norm(a) * np.linalg.norm(b)
        found.append(float(a @ b / length) if length else float((a == b).all()))
    return min(found)


def machine() -> dict[str, object]:
    """What it ran on."""
    model, flags = platform.processor() or "unknown processor", set()
    information = pathlib.Path("/proc/cpuinfo")
    for line in information.read_text().splitlines() if information.exists() else []:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in ("model name", "Model"):
            model = value
        elif key in ("flags", "Features"):
            flags = set(value.split())
    telling = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm")
    return {"processor": model, "architecture": platform.machine(), "cores": os.cpu_count(),
            "instructions": [flag for flag in telling if flag in flags], "system": platform.system()}


def document(made: list[Row], reasons: dict[str, str], plan: Plan, model: pathlib.Path, date: str) -> dict:
    """All of it, for a program to read."""
    return {"date": date, "machine": machine(),
            "model": {"file": model.name, "sha256": hashlib.sha256(model.read_bytes()).hexdigest(), "shape": plan.shape},
            "method": {"threads": plan.threads, "cores": plan.cores, "clock": plan.clock, "rounds": plan.rounds,
                       "runs_a_round": plan.runs, "discarded_a_round": plan.discarded, "inputs": plan.input_count},
            "rows": [dataclasses.asdict(row) for row in made],
            "not_run": [{"name": name, "reason": reason} for name, reason in reasons.items()]}


def title(report: dict) -> str:
    """What was measured, in a line."""
    method = report["method"]
    threads = "one thread" if method["threads"] == 1 else f"{method['threads']} threads"
    return f"{report['model']['file']} at {'x'.join(map(str, report['model']['shape']))}, {threads}"


def subtitle(report: dict) -> str:
    """On what and how, in a line."""
    machine, method = report["machine"], report["method"]
    clock = "processor time" if method["clock"] == "cpu" else "time on the clock"
    return (f"{machine['processor']} ({', '.join(machine['instructions']) or machine['architecture']}), {report['date']}; "
            f"{clock} of {method['rounds']} rounds of {method['runs_a_round']} runs")


def text(report: dict) -> str:
    """The table for people."""
    lines = [title(report), *textwrap.wrap(subtitle(report), 118), ""]
    width = max((len(row["name"]) for row in report["rows"]), default=0)
    lines.append(f"{'':{width}}    ms          quarter to      to ORT  fastest  fastest   cosine to ORT f32    load   peak")
    lines.append(f"{'':{width}}    median      three quarters     f32     peer f32 peer     mean    least      ms     MB")
    for row in report["rows"]:
        spread = f"{row['p25_ms']:.2f} .. {row['p75_ms']:.2f}"
        lines.append(f"{row['name']:{width}}  {row['median_ms']:8.2f}  {spread:>18}  {ratio(row['to_onnxruntime_f32'])}"
                     f"  {ratio(row['to_fastest_peer'])}  {ratio(row['to_fastest_f32_peer'])}"
                     f"  {fixed(row['cosine_mean'])} {fixed(row['cosine_least'])}  {row['load_ms']:6.0f}"
                     f" {row['peak_rss_mb'] or 0:6.0f}")
    alike: dict[str, list[str]] = {}
    for row in report["rows"]:
        alike.setdefault(", ".join(filter(None, [row["engine"], row["isa"], row["note"]])), []).append(row["name"])
    remarks = [f"{what}: {'; '.join(names)}" for what, names in alike.items()]
    refusals = [f"{missing['name']}: {missing['reason']}" for missing in report["not_run"]]
    for heading, items in (("What ran", remarks), ("Not run", refusals)):
        if items:
            lines += ["", heading]
            for item in items:
                lines += textwrap.wrap(item, 118, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def ratio(value: float | None) -> str:
    return f"{value:7.2f}" if value is not None else f"{'-':>7}"


def fixed(value: float | None) -> str:
    return f"{value:8.5f}" if value is not None else f"{'-':>8}"
