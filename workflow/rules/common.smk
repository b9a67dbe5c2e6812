# Planning: which runs exist and what they need. Imports no torch, since this file is read on every command.
import functools
import gc
import inspect
import os
import re
import shlex
import sys
import tempfile

from snakemake.common import overwrite_function_params
from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job
from snakemake.resources import Resource

from ebreplicate.errors import UserError, unknown
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.plan.plan import Plan, drawn_alone, parents, requests, retrained, root_of
from ebreplicate.plan.scale import SCALES, load_scale
from ebreplicate.plan.spec import GraphTickets, Retrain, Search, Sparse, Ticket, canonical, key
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
    items = [*EXPERIMENTS, *EXPERIMENTS.parts]
    asked = {(name, item): requests(scale, [item]) for name, scale in scales.items() for item in items}
    return asked, Plan(spec for specs in asked.values() for spec in specs), drawn_alone(asked.values())


OVERRIDABLE = ("seeds", "draw_epochs", "precision", "kernels")
try:
    ASKED, PLAN, DRAWN_ALONE = configured()
except UserError as e:
    raise WorkflowError(str(e)) from None

# Jobs hand themselves to one warm process instead of importing torch each (ebreplicate/warm.py).
# Not in a cluster's jobs, where the process would belong to whichever job came first; those inherit the submitter's
# environment.
if {"SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST"} & set(os.environ):
    os.environ.update(EBREPLICATE_WARM="0")
else:
    os.environ.setdefault("EBREPLICATE_WARM", "1")
# A scheduler that wants a job back sends SIGTERM to all of its processes. It is meant for the training, which ends its
# epoch and exits with 75: bash and tee, were they to die of it, would take the training or its log along.
shell.prefix("set -euo pipefail; trap '' TERM; ")
# Where jobs share no file system, commands work in a volume and Snakemake carries copies (ebreplicate/delivery.py).
if workflow.storage_settings.default_storage_provider:
    carried = workflow.modifier.path_modifier.modify(config["results"])
    os.environ.update(EBREPLICATE_DELIVER=os.path.abspath(carried))
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
    scale=r"[a-z0-9]+",
    item=r"\w+",


# What a dry run of the paper scale (4,608 jobs) spends its time on, beside planning. Snakemake inspects the signature of
# a function several times a job, and formats each shell line three times; and Python's collector walks the growing
# graph again and again.
def signed(function):
    """The function, its signature beside it."""
    overwrite_function_params(function, inspect.signature(function).parameters)
    return function


overwrite_function_params(Resource.evaluate, inspect.signature(Resource("threads", 1).evaluate).parameters)
Job.shellcmd = functools.cached_property(Job.shellcmd.fget)
Job.shellcmd.__set_name__(Job, "shellcmd")
gc.set_threshold(100_000)


def record_of(spec):
    """Path of a run's record."""
    return f"{RESULTS}/runs/{spec.stage}/{key(spec)}/record.json"


def spec_of(wildcards, kind):
    """The spec of a run of stage `kind`; any scale's run can be asked for by its key."""
    spec = PLAN.runs.get(wildcards.run)
    if not isinstance(spec, kind):
        raise WorkflowError(f"no {kind.stage} run is called {wildcards.run!r}; `ebreplicate plan --runs` lists them")
    return spec


def needs(kind):
    """Input function: records of the runs that this one builds on. Ancient: no 160-epoch run starts over a file time."""
    return signed(lambda wildcards: [ancient(record_of(p)) for p in before(spec_of(wildcards, kind))])


def before(spec):
    """The runs that a job waits for: what the run builds on or, where a retrain draws its ticket, what that builds on."""
    return [p for s in parents(spec) for p in ([s] if s.stage != "draw" or key(s) in DRAWN_ALONE else parents(s))]


def records_of(wildcards):
    """Input function: every record an item's table reads, its searches included, and tickets that no retrain draws."""
    scale, item = wildcards.scale, wildcards.item
    items = [*EXPERIMENTS, *EXPERIMENTS.parts]
    for kind, name, known in (("scale", scale, SCALES), ("figure or table", item, items)):
        if name not in known:
            raise WorkflowError(str(unknown(kind, name, known)))
    asked = ASKED[scale, item]
    if item in EXPERIMENTS.parts and not asked:
        raise WorkflowError(f"{item}: nothing of it is run at scale {scale!r} (workflow/config/items)")
    runs = Plan(asked).runs
    drawn = retrained(asked) - DRAWN_ALONE
    lost = {k for k in drawn if not STORE.done(runs[k])} - retrained(s for s in runs.values() if not STORE.done(s))
    return [record_of(s) for k, s in runs.items() if k not in drawn or k in lost]


def everything(scale):
    """All targets of a scale."""
    return [
        *(f"{RESULTS}/tables/{scale}/{item}.csv" for item in EXPERIMENTS),
        *(f"figures/{scale}/{item}.svg" for item in EXPERIMENTS),
        f"{RESULTS}/comparison/{scale}.csv",
    ]


@signed
def results_root(wildcards):
    """Params function: where the package reads and writes results."""
    return RESULTS


class CommandLine:
    """Formats as the command of a run: {params.command:{wildcards.run}} in a shell line.

    One object for all jobs, and always the same for Snakemake, which would work out a function of the wildcards anew
    several times a job. A key covers all that determines numbers, so there is no more for it to know; and where, in how
    many processes and for which tickets a run trains must not repeat it when it changes.
    """

    def __repr__(self):  # what Snakemake compares with the last run
        return "the command of the run"

    def __format__(self, run):
        spec = PLAN.runs[run]
        where = f"--results {shlex.quote(RESULTS)} --data {shlex.quote(config['data'])}"
        command = f"python -m ebreplicate {spec.stage} {shlex.quote(canonical(spec))}"
        if spec.stage == "draw":  # on the CPU
            return f"{command} {where}"
        return " ".join(filter(None, (command, self.flags(spec, run), where, f"--device {config['device']}")))

    def flags(self, spec, run):
        """What the training keeps, and its processes: several only where it streams images, which takes a GPU days."""
        several = config["processes"] > 1 and root_of(spec).dataset in FOLDERS
        kept = PLAN.keep[run].flags if run in PLAN.keep else ""
        return f"{kept} --processes {config['processes']}".lstrip() if several else kept


COMMAND = CommandLine()


def experiment(wildcards):
    return EXPERIMENTS.load(wildcards.item)


def without_rate_limit(scheduler):
    """Take away Snakemake's default limit of 100 jobs a second, if it is the default; one that was asked for stays.

    To keep a limit, Snakemake looks for jobs to start a second after each time it looked, and it looks once more for
    each job that ended: after some hundred jobs it does little else, on a core that trainings need.
    """
    limit = getattr(scheduler, "job_rate_limiter", None)
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        scheduler.job_rate_limiter = None
