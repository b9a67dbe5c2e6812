"""Time training steps beside a plain loop: prints a table, writes a CSV."""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from benchmarks import gpu, overheads
from benchmarks.cases import TUNED, cases, curve_difference, promised
from benchmarks.setting import Setting
from benchmarks.table import Row, machine, row, text, write
from benchmarks.timing import Spread, Times, interleave, ratios, spread
from ebreplicate.training.device import tune_allocator

TARGETS = {
    ("cpu", "vgg16"): {"fp32": ">=1.2", "bf16": ">=1.8"},
    ("cpu", "preresnet101"): {"fp32": ">=1.8", "bf16": ">=3.5"},
    ("cuda", "vgg16"): {"bf16": ">=10"},
    ("cuda", "preresnet101"): {"bf16": ">=10"},
}
CURVE = 1e-3
"""Largest relative difference of losses at which two fp32 loss curves count as one: rounding, amplified by training."""


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    top.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if there is one")
    top.add_argument("--networks", nargs="+", default=["vgg16", "preresnet101"])
    top.add_argument("--threads", type=int, default=2, help="threads of a CPU (default: 2)")
    top.add_argument("--batch-size", type=int, default=256)
    top.add_argument("--width", type=float, default=1.0, help="width of the networks (default: 1)")
    top.add_argument("--steps", type=int, help="steps of a timed epoch (default: 1 on a CPU, a CIFAR epoch on a GPU)")
    top.add_argument("--rounds", type=int, default=5, help="repeats of every case, in turns (default: 5)")
    top.add_argument("--curve-steps", type=int, default=4, help="steps of the loss curves compared (default: 4)")
    top.add_argument("--workers", type=int, default=1, help="workers of the plain loop's DataLoader (default: 1)")
    top.add_argument("--only", nargs="+", help="only these timed cases; 'plain' is always among them")
    top.add_argument("--csv", type=Path, help="default: results/benchmarks/<device>.csv")
    return top


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        sys.exit("error: --device: cuda was asked for, but torch sees no GPU")
    return torch.device(name)


def training(name: str, setting: Setting, times: dict[str, Times], saved: dict[str, float]) -> list[Row]:
    """Rows of the timed cases of one network: seconds, ratios to the plain loop, gains of tickets."""
    steps = setting.images / setting.batch_size
    rows = [row(name, f"{c}: seconds a step", spread([s / steps for s in t.wall]), "s") for c, t in times.items()]
    rows += [row(name, f"{c}: CPU seconds a step", spread([s / steps for s in t.cpu]), "s") for c, t in times.items()]
    targets = TARGETS.get((setting.device.type, name), {}) if setting.standard else {}
    for case, t in times.items():
        for base in (b for b in times if b.startswith("plain") and not case.startswith("plain")):
            target = "" if base == TUNED else targets.get(case.split(",")[0], "")
            rows.append(row(name, f"{base} / {case}", ratios(times[base].wall, t.wall), "x", target))
    for ticket in (c for c in times if c in saved and "fp32" in times):
        gain = [1 - t / d for d, t in zip(times["fp32"].wall, times[ticket].wall, strict=True)]
        rows.append(Row(name, f"{ticket}: FLOPs saved", 100 * saved[ticket], unit="%"))
        rows.append(row(name, f"{ticket}: time saved", spread([100 * g for g in gain]), "%"))
        share = spread([100 * g / saved[ticket] for g in gain])
        goal = ">=60" if setting.standard else ""
        rows.append(row(name, f"{ticket}: time saved / FLOPs saved", share, "%", goal))
    return rows


def measure(name: str, setting: Setting, args: argparse.Namespace) -> list[Row]:
    """Everything that is measured of one network."""
    chosen = cases(name, setting)
    if args.only:
        chosen = {case: call for case, call in chosen.items() if case in {"plain", *args.only}}
    times = interleave(chosen, args.rounds, settle=setting.device.type == "cpu")
    rows = training(name, setting, times, promised(name, setting))
    worst = curve_difference(name, setting, args.curve_steps)
    how = f"loss over {args.curve_steps} steps beside plain: largest difference"
    rows.append(row(name, how, Spread(worst, worst, worst, 1), "relative", f"<={CURVE:g}"))
    fastest = min(t for case in times.values() for t in case.wall)
    rows.append(overheads.watching(name, setting, fastest / setting.images, args.rounds))
    rows.append(overheads.matrices(name, setting, args.rounds))
    return rows + overheads.parts(name, setting, args.rounds)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark."""
    args = _parser().parse_args(argv)
    started, load = time.time(), os.getloadavg()[0]
    tune_allocator()
    torch.set_num_threads(args.threads)
    device = _device(args.device)
    steps = args.steps or (1 if device.type == "cpu" else 0)
    images = args.batch_size * steps if steps else gpu.EPOCH
    setting = Setting(device, args.batch_size, images, args.workers, args.width)
    rows = list[Row]()
    for name in args.networks:
        found = measure(name, setting, args)
        if device.type == "cuda":
            found += gpu.rows(name, setting, args.rounds)
        rows += found
        print("\n".join(map(text, found)), flush=True)
    described = machine(device, started, load)
    print("\n".join(map(text, described)))
    path = args.csv or Path(f"results/benchmarks/{device.type}.csv")
    write([*described, *rows], path)
    print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
