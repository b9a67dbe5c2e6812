# Planning: which runs exist and what they need. Imports no torch, since this file is read on every command.
import os
import re
import shlex
import sys

from snakemake.exceptions import WorkflowError

from ebreplicate.errors import UserError, unknown
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.plan.plan import make_plan, parents, requests, search_of
from ebreplicate.plan.scale import SCALES, load_scale
from ebreplicate.plan.spec import Retrain, Search, Sparse, Ticket, canonical, key
from ebreplicate.records import Store
from ebreplicate.training.datasets import FOLDERS

SETTINGS = ("scale", "results", "data", "device", "threads", "processes")
DEVICES = ("auto", "cpu", "cuda")


def integers(values):
    """The items of --config seeds=[0,1] arrive as the strings "0" and "1"; anything else is left for the schema."""
    return (
        [int(v) if isinstance(v, str) and v.isdecimal() else v for v in values] if isinstance(values, list) else values
    )


def configured():
    """Check the configuration and build the plan; bad input stops here, before anything runs."""
    known = (*SETTINGS, *OVERRIDABLE)
    for name in config:
        if name not in known:
            raise unknown("--config", name, known)
    if config["scale"] not in SCALES:
        raise unknown("--config scale", config["scale"], SCALES)
    kinds = {"results": str, "data": str, "device": str, "threads": int, "processes": int}
    for name, kind in kinds.items():
        if not isinstance(config[name], kind):
            raise UserError(f"--config {name}: expected {kind.__name__}, got {config[name]!r}")
        if kind is int and config[name] < 1:
            raise UserError(f"--config {name}: must be at least 1, got {config[name]}")
    if not re.fullmatch(r"[\w.,+=@%^/][\w.,+=@%^/-]*", config["results"]):
        problem = "takes no space and nothing that means something to a shell or to Snakemake"
        raise UserError(f"--config results: a folder's name here {problem}, got {config['results']!r}")
    if config["device"] not in DEVICES:
        raise unknown("--config device", config["device"], DEVICES)
    overrides = {name: integers(config[name]) for name in OVERRIDABLE if name in config}
    scales = {name: load_scale(name, overrides if name == config["scale"] else None) for name in SCALES}
    Store(config["results"]).check_writable()
    return scales, make_plan(*scales.values())


OVERRIDABLE = ("seeds", "draw_epochs")
try:
    SCALE_SPECS, PLAN = configured()
except UserError as e:
    raise WorkflowError(str(e)) from None

# Jobs hand themselves to one warm process instead of importing torch each (ebreplicate/warm.py).
# Not on a cluster, where the process would belong to whichever job came first.
if not {"SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST"} & set(os.environ):
    os.environ.setdefault("EBREPLICATE_WARM", "1")
# Jobs call `python`: that of this Snakemake, whether or not its environment is activated.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.path.expandvars("$PATH")]))
SCALE = config["scale"]
RESULTS = config["results"]
STORE = Store(RESULTS)
OVERRIDES = " ".join(
    f"--config {name}={shlex.quote(str(integers(config[name])))}" for name in OVERRIDABLE if name in config
)


wildcard_constraints:
    run=r"[A-Za-z0-9.\-]+",
    scale="|".join(SCALES),
    item="|".join(EXPERIMENTS),


def spec_of(wildcards, kind):
    """The spec of a run of stage `kind`; any scale's run can be asked for by its key."""
    spec = PLAN.runs.get(wildcards.run)
    if not isinstance(spec, kind):
        raise WorkflowError(f"no {kind.stage} run is called {wildcards.run!r}; `ebreplicate plan --runs` lists them")
    return spec


def spec_json(kind):
    """Params function: the run's canonical spec, quoted for the shell."""
    return lambda wildcards: canonical(spec_of(wildcards, kind))


def needs(kind):
    """Input function: records of the runs that this one builds on. Ancient: no 160-epoch run starts over a file time."""
    return lambda wildcards: [ancient(str(STORE.record_path(p))) for p in parents(spec_of(wildcards, kind))]


def records_of(wildcards):
    """Input function: every record an item's table reads, its tickets and searches included."""
    from ebreplicate.plan.plan import Plan

    runs = Plan(requests(SCALE_SPECS[wildcards.scale], [wildcards.item])).runs.values()
    return [str(STORE.record_path(s)) for s in runs]


def everything(scale):
    """All targets of a scale."""
    return [
        *(f"{RESULTS}/tables/{scale}/{item}.csv" for item in EXPERIMENTS),
        *(f"figures/{scale}/{item}.svg" for item in EXPERIMENTS),
        f"{RESULTS}/comparison/{scale}.csv",
    ]


def results_root(wildcards):
    """Params function: where the package reads and writes results."""
    return RESULTS


def training_threads(wildcards=None):
    """CPU threads of one training run."""
    return config["threads"]


def flags(wildcards):
    """Command-line flags of a training that are no part of its spec: what it keeps, and its processes.

    Several processes only where it streams images, which is where one GPU takes days.
    """
    run = wildcards.run
    several = config["processes"] > 1 and search_of(PLAN.runs[run]).dataset in FOLDERS
    kept = PLAN.keep[run].flags if run in PLAN.keep else ""
    return kept + (f" --processes {config['processes']}" if several else "")


def experiment(wildcards):
    return EXPERIMENTS.load(wildcards.item)
