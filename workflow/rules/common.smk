# Planning: which runs exist and what they need. Imports no torch, since this file is read on every command.
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError

from ebreplicate.store import manifest
from ebreplicate.errors import UserError, unknown
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.machine import gpus, has_gpu
from ebreplicate.report import targets
from ebreplicate.experiments.planner import requests
from ebreplicate.specs.graph import Plan, root_of, trainings_before
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.specs.spec import Ticket, key
from ebreplicate.store.store import Store, figures_root

SETTINGS = {"scale": str, "results": str, "data": str, "device": str, "threads": int, "processes": int}
SMOKE_SECONDS = 2
"""Of a core, for a training at the smallest scale with its share of tables and figures: measured, two cores of 2020."""
OVERRIDABLE = ("seeds", "draw_epochs", "precision", "compiled")
DEVICES = ("auto", "cpu", "cuda")


def integers(values):
    """The items of --config seeds=[0,1] arrive as the strings "0" and "1"; anything else is left for the schema."""
    return (
        [int(v) if isinstance(v, str) and v.isdecimal() else v for v in values] if isinstance(values, list) else values
    )


def configured():
    """Check the configuration and enumerate every item's runs; bad input stops here, before anything runs."""
    for name in config:
        if name not in (*SETTINGS, *OVERRIDABLE):
            raise unknown("--config", name, (*SETTINGS, *OVERRIDABLE))
    for name, kind in SETTINGS.items():
        if not isinstance(config[name], kind):
            raise UserError(f"--config {name}: expected {kind.__name__}, got {config[name]!r}")
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
    overrides = {name: integers(config[name]) for name in OVERRIDABLE if name in config}
    scales = [load_scale(name, overrides if name == config["scale"] else None) for name in SCALES]
    Store(config["results"]).check_writable()
    targets.check(sys.argv[1:], config["results"], str(figures_root(Path(config["results"]))))
    return {(s.name, item): requests(s, [item]) for s in scales for item in (*EXPERIMENTS, *EXPERIMENTS.parts)}


try:
    ASKED = configured()
except UserError as e:
    raise WorkflowError(str(e)) from None
PLAN = Plan(spec for specs in ASKED.values() for spec in specs)
SCALE, RESULTS = config["scale"], config["results"]
CPU_ONLY = config["device"] == "cpu" or (config["device"] == "auto" and not has_gpu())
# GPUs that a training takes; profiles/default has a total of one, so that plain `snakemake` starts no crowd for one GPU.
USES_GPU = int(config["device"] == "cuda" or (config["device"] == "auto" and gpus() > 0))
FIGURES = str(figures_root(Path(RESULTS)))
OVERRIDES = " ".join(
    f"--config {name}={shlex.quote(str(integers(config[name])))}" for name in OVERRIDABLE if name in config
)

# Jobs hand themselves to one warm process instead of importing torch each (ebreplicate/warm.py).
# Not in a cluster's jobs, where the process would belong to whichever job came first; those inherit the submitter's
# environment.
if "SLURM_JOB_ID" in os.environ:
    os.environ.update(EBREPLICATE_WARM="0")
else:
    os.environ.setdefault("EBREPLICATE_WARM", "1")
# A scheduler that wants a job back sends SIGTERM to all of its processes. It is meant for the training, which ends its
# epoch and exits with 75: bash and tee, were they to die of it, would take the training or its log along.
shell.prefix("set -euo pipefail; trap '' TERM; ")
# Jobs call `python`: that of this Snakemake, whether or not its environment is activated.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.path.expandvars("$PATH")]))


# Settings that change no number are not in the jobs' lines, which would make Snakemake repeat finished jobs.
if config["data"] != "data":
    os.environ.update(EBREPLICATE_DATA=config["data"])
os.environ.update(EBREPLICATE_DEVICE=config["device"])


wildcard_constraints:
    run=r"[A-Za-z0-9.\-]+",
    scale=r"[a-z0-9]+",
    item=r"\w+",


def results_root(wildcards):
    """Params function: where the package reads and writes results."""
    return RESULTS


def record_of(spec):
    """Path of a run's record."""
    return f"{RESULTS}/runs/{spec.stage}/{key(spec)}/record.json"


def needs(stage):
    """Input function of a training: what it builds on. Ancient: no 160-epoch run starts over a file time. Any scale's
    run can be asked for by its key."""

    def inputs(wildcards):
        spec = PLAN.runs.get(wildcards.run)
        if spec is None or spec.stage != stage:
            raise WorkflowError(f"no {stage} run is called {wildcards.run!r}; `ebreplicate plan --runs` lists them")
        return [ancient(record_of(s)) for s in trainings_before(spec)]

    return inputs


def without_images(spec):
    """Whether a run cannot train here because ImageNet, which nobody can download for it, is not in the data folder.
    Tables show such runs as not run."""
    folder = Path(config["data"], "imagenet", "train")
    return root_of(spec).dataset == "imagenet" and not folder.is_dir() and not Path(record_of(spec)).is_file()


def order_of(wildcards):
    """Priority of a training, for a run with a time limit: earlier seeds first, then VGG16, ten classes, and what ends a
    figure before what begins another. Not positive, so that tables and figures are made as soon as they can be."""
    spec = PLAN.runs[wildcards.run]
    root = root_of(spec)
    later = (not getattr(root, "model", "").startswith("vgg"), root.dataset.endswith("100"), spec.stage != "retrain")
    return -sum(n * late for n, late in zip((8, 4, 2, 1), (root.seed, *later), strict=True))


def records_of(wildcards):
    """Input function: the record of every training that an item's table reads. Tickets are drawn by who needs them."""
    scale, item = wildcards.scale, wildcards.item
    for kind, name, names in (
        ("scale", scale, SCALES),
        ("figure or table", item, [*EXPERIMENTS, *EXPERIMENTS.parts]),
    ):
        if name not in names:
            raise WorkflowError(str(unknown(kind, name, names)))
    asked = ASKED[scale, item]
    if item in EXPERIMENTS.parts and not asked:
        raise WorkflowError(f"{item}: nothing of it is run at scale {scale!r} (workflow/config/items)")
    return [record_of(s) for s in Plan(asked).runs.values() if not isinstance(s, Ticket) and not without_images(s)]


def on_cpu(scale):
    """The figures of a scale that a CPU trains in hours."""
    items = [item for item in (*EXPERIMENTS, *EXPERIMENTS.parts) if EXPERIMENTS.load(item).trains_on_cpu]
    return [f"{FIGURES}/{scale}/{item}.svg" for item in items]


def everything(scale):
    """All targets of a scale; of the papers' own scale, without a GPU, those that a CPU trains."""
    if CPU_ONLY and scale == "paper":
        return on_cpu(scale)
    return [
        *(f"{RESULTS}/tables/{scale}/{item}.csv" for item in EXPERIMENTS),
        *(f"{FIGURES}/{scale}/{item}.svg" for item in EXPERIMENTS),
        f"{RESULTS}/comparison/{scale}.csv",
    ]


def trainings_left(scale):
    """Trainings of a scale, and how many of them have no record yet."""
    runs = Plan(s for item in EXPERIMENTS for s in ASKED[scale, item]).runs.values()
    trained = [record_of(s) for s in runs if not isinstance(s, Ticket) and not without_images(s)]
    return len(trained), sum(not Path(record).is_file() for record in trained)


def expectation():
    """What is ahead, in one line: trainings left of the scale and how long they take."""
    planned, left = trainings_left(SCALE)
    text = f"scale {SCALE}: {left:,} of {planned:,} trainings are still to be run in all"
    if SCALE == "smoke":
        cores = workflow.cores
        minutes = 1 + left * SMOKE_SECONDS // (60 * cores)
        return f"{text}, about {minutes} minutes on {cores} cores if all are asked for"
    return f"{text}; `python -m ebreplicate plan --scale {SCALE}` says how long they take"


def experiment(wildcards):
    return EXPERIMENTS.load(wildcards.item)
