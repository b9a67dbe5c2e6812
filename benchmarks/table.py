"""Rows of a benchmark: as text on the screen and as a CSV with the machine in it."""

import csv
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import Spread
from ebreplicate.training import provenance
from ebreplicate.training.arithmetic import has_bf16


@dataclass(frozen=True)
class Row:
    """One measured number, with the limits of its repeats and, where one is set, the target it is held against."""

    network: str
    measure: str
    value: Any
    low: float | None = None
    high: float | None = None
    repeats: int | None = None
    unit: str = ""
    target: str = ""
    met: str = ""


def row(network: str, measure: str, value: Spread, unit: str, target: str = "") -> Row:
    """A row, judged where `target` is a bound, ">=1.2" or "<=0.5", on the median."""
    met = ""
    if target:
        bound = float(target[2:])
        met = "yes" if (value.value >= bound if target[:2] == ">=" else value.value <= bound) else "no"
    return Row(network, measure, value.value, value.low, value.high, value.repeats, unit, target, met)


def machine(device: torch.device, started: float, load: float) -> list[Row]:
    """The machine, versions and conditions; no name of the machine, a user or a path."""
    facts = provenance.facts(device, started)
    said = {name: facts[name] for name in ("device", "cores", "threads", "system", "python", "cuda", "commit", "clean")}
    said |= {f"version of {name}": version for name, version in facts["versions"].items()}
    said["instructions"] = torch.backends.cpu.get_cpu_capability()
    said["bf16 convolutions of the processor"] = has_bf16()
    said["load before the run (1 min)"] = round(load, 2)
    said["load after the run (1 min)"] = round(os.getloadavg()[0], 2)
    said |= {"started": facts["started"], "ended": facts["ended"]}
    return [Row("machine", name, "" if value is None else value) for name, value in said.items()]


def write(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as CSV, numbers to five digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as f:
        out = csv.DictWriter(f, [x.name for x in fields(Row)], lineterminator="\n")
        out.writeheader()
        for r in rows:
            out.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(r).items()})


def text(r: Row) -> str:
    """A row as a line on the screen."""
    if not isinstance(r.value, float):
        return f"{r.network:13} {r.measure:58} {r.value}"
    limits = "" if r.low is None else f"({r.low:.4g} to {r.high:.4g}, n={r.repeats})"
    verdict = {"yes": f"target {r.target}: met", "no": f"target {r.target}: MISSED", "": ""}[r.met]
    return f"{r.network:13} {r.measure:58} {r.value:8.4g} {r.unit:11} {limits:30} {verdict}".rstrip()


def judged(path: Path) -> str:
    """Markdown table of the rows of a written CSV that have a target."""
    with path.open(newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["target"]]
    lines = ["| network | measure | median | lowest to highest | target | met |", "|---|---|---|---|---|---|"]
    for r in rows:
        value, low, high = (f"{float(r[name]):.3g}" for name in ("value", "low", "high"))
        spread = f"{low} to {high} (n = {r['repeats']})"
        unit = "" if r["unit"] == "relative" else f" {r['unit']}"
        lines.append(f"| {r['network']} | {r['measure']} | {value}{unit} | {spread} | {r['target']} | {r['met']} |")
    return "\n".join(lines)
