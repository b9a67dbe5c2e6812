"""What the workflow runs: its checked settings, every item's runs at every scale, and which come first. No torch."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any

from ebreplicate.catalog import TITLES, USERS_FILES
from ebreplicate.errors import UserError, unknown
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.planner import requests
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import Plan, root_of
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.specs.spec import Alone, Ticket, key
from ebreplicate.store.store import Store

SETTINGS = {"scale": str, "results": str, "data": str, "device": str, "threads": int, "processes": int}
"""Settings of workflow/config/config.yaml and their types."""
OVERRIDABLE = ("seeds", "draw_epochs", "precision", "compiled")
"""Fields of the scale that a setting of the same name replaces."""
DEVICES = ("auto", "cpu", "cuda")
PAGES = {"imagenet": "imagenet", "text": "char-lm"}
"""Pages of docs on data that the user brings."""
ITEMS = (*EXPERIMENTS, *EXPERIMENTS.parts)
Asked = dict[tuple[str, str], list[Spec]]
"""Runs that are asked for, by scale and item."""


def overrides(config: MutableMapping[str, Any]) -> dict[str, Any]:
    """The settings that replace fields of the scale.

    The items of --config seeds=[0,1] arrive as the strings "0" and "1"; anything else is left for the schema.
    """
    found = {name: config[name] for name in OVERRIDABLE if name in config}
    return {n: [_integer(v) for v in value] if isinstance(value, list) else value for n, value in found.items()}


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def check(config: MutableMapping[str, Any]) -> None:
    """Raise UserError, naming setting and fix, for a configuration that cannot be run; expand "~" in its folders."""
    for name in config:
        if name not in (*SETTINGS, *OVERRIDABLE):
            raise unknown("--config", name, (*SETTINGS, *OVERRIDABLE))
    for name, kind in SETTINGS.items():
        if not isinstance(config[name], kind) or isinstance(config[name], bool):  # to Python True is an int
            raise UserError(f"--config {name}: expected {kind.__name__}, got {config[name]!r}")
        if config[name] == "":
            raise UserError(f"--config {name}: is empty; leave it out for the default")
        if kind is int and config[name] < 1:
            raise UserError(f"--config {name}: must be at least 1, got {config[name]}")
    config.update({name: os.path.expanduser(config[name]) for name in ("results", "data")})
    if config["scale"] not in SCALES:
        raise unknown("--config scale", config["scale"], SCALES)
    if not re.fullmatch(r"[\w.,+=@%^/][\w.,+=@%^/-]*", config["results"]):
        problem = "takes no space and nothing that means something to a shell or to Snakemake"
        raise UserError(f"--config results: a folder's name here {problem}, got {config['results']!r}")
    if config["device"] not in DEVICES:
        raise unknown("--config device", config["device"], DEVICES)


def asked(config: MutableMapping[str, Any], arguments: Iterable[str] | None = None) -> Asked:
    """Check the configuration and enumerate every item's runs; overrides are of the configured scale alone.

    `arguments`: those of a command. Of scales that come after the configured one, paper last, it needs only those up to
    one that they name; where they name a run, or are not given, all. (Scales that come before have a say in `batches`.)
    Raises UserError for bad input, and where results cannot be written, before anything runs.
    """
    check(config)
    given, text = overrides(config), "runs/" if arguments is None else " ".join([config["scale"], *arguments])
    last = max(i for i, name in enumerate(SCALES) if name in text or "runs/" in text)
    scales = [load_scale(name, given if name == config["scale"] else None) for name in SCALES[: last + 1]]
    Store(config["results"]).check_writable()
    return {(scale.name, item): requests(scale, [item]) for scale in scales for item in ITEMS}


def check_target(scale: str, item: str, runs: Asked) -> None:
    """Raise UserError for a scale or item that there is not, or for a part of which the scale runs nothing."""
    for kind, name, names in (("scale", scale, SCALES), ("figure or table", item, ITEMS)):
        if name not in names:
            raise unknown(kind, name, names)
    if item in EXPERIMENTS.parts and not runs[scale, item]:
        raise UserError(f"{item}: nothing of it is run at scale {scale!r} (workflow/config/items)")


def batches(runs: Asked) -> dict[str, list[Spec]]:
    """Trainings that take seconds each, by the name of the job that runs them one after another.

    Those that stand alone by scale and the batch they name (of a graph: graph and seed); those of a scale with several
    runs a job by item and stage. A run is in the batch of the scale and item that come first, after the runs that it
    builds on.
    """
    most = {name: load_scale(name).runs_per_job for name in {scale for scale, _ in runs}}
    found: dict[tuple[str, int], list[Spec]] = {}  # by name, and how many a part has at most
    known = set[str]()
    for (scale, item), specs in runs.items():
        for spec in Plan(specs).runs.values():
            if key(spec) in known or isinstance(spec, Ticket):
                continue
            known.add(key(spec))
            if isinstance(spec, Alone):
                found.setdefault((f"{scale}_{spec.batch}", sys.maxsize), []).append(spec)
            elif most[scale] > 1:
                found.setdefault((f"{scale}_{item}_{spec.stage}", most[scale]), []).append(spec)
    return {name: part for (batch, size), specs in found.items() for name, part in _parts(batch, specs, size)}


def sharing(batches: dict[str, list[Spec]]) -> list[str]:
    """Keys of the runs that share a job, but for those that stand alone, which have no other job at any scale."""
    return [key(spec) for specs in batches.values() for spec in specs if not isinstance(spec, Alone)]


def _parts(batch: str, specs: list[Spec], most: int) -> list[tuple[str, list[Spec]]]:
    """A batch by its name, or numbered parts of like size, with `most` runs each."""
    count = -(-len(specs) // most)
    size = -(-len(specs) // count)
    return [(batch if count == 1 else f"{batch}_{i + 1}", specs[i * size : (i + 1) * size]) for i in range(count)]


def priority(spec: Spec) -> int:
    """Order of trainings, for a workflow with a time limit: earlier seeds, then VGG16, then ten classes, then what ends
    a figure before what begins another. Not positive, so that a table is made as soon as its runs are there."""
    root = root_of(spec)
    later = (not getattr(root, "model", "").startswith("vgg"), root.dataset.endswith("100"), spec.stage != "retrain")
    return -sum(n * late for n, late in zip((8, 4, 2, 1), (root.seed, *later), strict=True))


def trainable(specs: Iterable[Spec], config: MutableMapping[str, Any]) -> list[Spec]:
    """All runs but unfinished ones on data that nobody can download for the user, ImageNet and texts, where they are
    not in the data folder. Tables show such runs as not run."""
    missing = [name for name, path in USERS_FILES.items() if not Path(config["data"], path).exists()]
    store = Store(config["results"])
    return [spec for spec in specs if root_of(spec).dataset not in missing or store.done(spec)]


def on_cpu() -> list[str]:
    """Items that a CPU trains in hours at the papers' own scale."""
    return [item for item in ITEMS if EXPERIMENTS.load(item).trains_on_cpu]


def only_on_cpu(config: MutableMapping[str, Any]) -> bool:
    """Whether only `on_cpu` is asked for: at the papers' own scale, without a GPU."""
    device = config["device"]
    return config["scale"] == "paper" and (device == "cpu" or (device == "auto" and not has_gpu()))


def gpus_of_a_training(config: MutableMapping[str, Any]) -> int:
    """GPUs that Snakemake counts for a training, of which profiles/default has one in all: 0 where it uses the CPU."""
    device = config["device"]
    return int(device == "cuda" or (device == "auto" and gpus() > 0))


def ahead(config: MutableMapping[str, Any], runs: Asked) -> str:
    """How many trainings of the configured scale are left, in one line, and where to learn how long they take."""
    name, store = config["scale"], Store(config["results"])
    items = on_cpu() if only_on_cpu(config) else EXPERIMENTS
    planned = Plan(spec for item in items for spec in runs[name, item]).runs.values()
    trained = [spec for spec in trainable(planned, config) if not isinstance(spec, Ticket)]
    left = sum(not store.done(spec) for spec in trained)
    estimate = f"`python -m ebreplicate plan --scale {name}` estimates the time"
    return f"scale {name}: {left:,} of its {len(trained):,} trainings are left if everything is asked for; {estimate}"


def left_out(config: MutableMapping[str, Any], runs: Asked) -> str:
    """What the configured scale leaves out on this machine, in one line; empty if nothing."""
    if only_on_cpu(config):
        return "no GPU: only what a CPU can train at the papers' own scale; --config device=cuda asks for everything"
    plan = Plan(spec for item in EXPERIMENTS for spec in runs[config["scale"], item]).runs.values()
    kept = {key(spec) for spec in trainable(plan, config)}
    names = [root_of(spec).dataset for spec in plan if key(spec) not in kept]
    return "; ".join(
        f"no {TITLES.get(name, name)} in {Path(config['data'], path)}: {names.count(name)} of its runs are left out "
        f"(docs/{PAGES[name]}.md)"
        for name, path in USERS_FILES.items()
        if name in names
    )


def gpus() -> int:
    """How many GPUs NVIDIA's driver sees here."""
    try:
        import pynvml
    except ImportError:
        return 0
    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def has_gpu() -> bool:
    """Whether there is a GPU here, or this is a cluster's login node (SLURM), whose nodes may have some."""
    return shutil.which("sbatch") is not None or gpus() > 0
