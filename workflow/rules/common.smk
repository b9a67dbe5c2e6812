# Planning: which runs exist and what they need. Imports no torch, since this file is read on every command.
import os
import re
import shlex
import sys
import tempfile
from itertools import chain
from pathlib import Path

from snakemake.exceptions import WorkflowError

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS, jobs, targets
from ebreplicate.specs.graph import Plan, trainings_before
from ebreplicate.specs.spec import Alone, Ticket, key
from ebreplicate.store import manifest
from ebreplicate.store.store import figures_root

try:
    ASKED = jobs.asked(config, sys.argv[1:])
    targets.check(sys.argv[1:], config["results"], str(figures_root(Path(config["results"]))))
except UserError as e:
    raise WorkflowError(str(e)) from None
PLAN = Plan(chain(*ASKED.values()))
BATCHES = jobs.batches(ASKED)
RESULTS = config["results"]
FIGURES = str(figures_root(Path(RESULTS)))
OVERRIDES = " ".join(f"--config {n}={shlex.quote(str(v))}" for n, v in jobs.overrides(config).items())

# Settings that change no number are in the environment: in the jobs' lines they would make Snakemake repeat finished
# jobs. Jobs call `python`: that of this Snakemake, whether or not its environment is activated.
os.environ.update(
    EBREPLICATE_DEVICE=config["device"],
    EBREPLICATE_RESULTS=RESULTS,
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.path.expandvars("$PATH")]),
)
if config["data"] != "data":
    os.environ.update(EBREPLICATE_DATA=config["data"])
# A scheduler that wants a job back sends SIGTERM to all of its processes. It is meant for the training, which ends its
# epoch and exits with 75: bash and tee, were they to die of it, would take the training or its log along.
shell.prefix("set -euo pipefail; trap '' TERM; ")


wildcard_constraints:
    # A run that shares a job with others is made by that job alone.
    run=f"(?!(?:{'|'.join(map(re.escape, jobs.sharing(BATCHES)))})/)[A-Za-z0-9.\\-]+",
    scale=r"[a-z0-9]+",
    item=r"\w+",


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


def outside(runs):
    """Records that a batch of runs builds on and does not make itself. Ancient, as in `needs`."""
    found = {record_of(s) for run in runs for s in trainings_before(run)}
    return [ancient(record) for record in sorted(found - {record_of(run) for run in runs})]


def records_of(wildcards):
    """Input function: the record of every training that an item's table reads. Tickets are drawn by who needs them."""
    try:
        jobs.check_target(wildcards.scale, wildcards.item, ASKED)
    except UserError as e:
        raise WorkflowError(str(e)) from None
    runs = Plan(ASKED[wildcards.scale, wildcards.item]).runs.values()
    return [record_of(spec) for spec in jobs.trainable(runs, config) if not isinstance(spec, Ticket)]


def figures(scale, items):
    """Paths of figures; each is made with its table."""
    return [f"{FIGURES}/{scale}/{item}.svg" for item in items]


def everything():
    """All targets of the configured scale; of the papers' own scale, without a GPU, those that a CPU trains."""
    scale = config["scale"]
    if jobs.only_on_cpu(config):
        return figures(scale, jobs.on_cpu())
    return [*figures(scale, EXPERIMENTS), f"{RESULTS}/comparison/{scale}.csv"]


def experiment(wildcards):
    return EXPERIMENTS.load(wildcards.item)
