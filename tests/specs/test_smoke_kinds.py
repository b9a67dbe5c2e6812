"""The scale smoke is small, and trains every kind of run that the paper's scale has."""

from dataclasses import fields
from functools import cache

import pytest

from ebreplicate.experiments.planner import requests
from ebreplicate.specs.bits import Bits
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import STAGES, Recipe, Spec, Ticket, Training

SIZES = {"seed", "width", "train_size", "test_size", "epochs", "batch_size", "lr", "lr_decay", "milestones", "momentum"}
SIZES |= {"weight_decay", "ratio", "sparsity", "interval", "alpha", "stop", "validation_interval", "draws"}
NAMES = {"model", "dataset"}
"""Fields that are no kind: numbers without a case of their own, and names that each scale gives its own meaning."""
NOT_AT_SMOKE = {
    "Recipe.augment: crop-flip": "digits are neither mirrored nor cropped",
    "Search.precision: bf16": "a GPU's",
    "Sparse.precision: bf16": "a GPU's",
    "Retrain.precision: bf16": "a GPU's",
}


def kinds_of(spec):
    """Choices that a spec makes, as "Class.field: value"; of numbers and nested runs, whether there is one."""
    found = {spec.stage} - {""}
    for field in fields(spec):
        value, name = getattr(spec, field.name), f"{type(spec).__name__}.{field.name}"
        if isinstance(value, (Recipe, Bits)):
            found |= kinds_of(value)
        elif field.name in SIZES | NAMES or (isinstance(value, Spec) and field.name in ("search", "ticket")):
            continue
        elif isinstance(value, (str, bool)):
            found.add(f"{name}: {value}")
        else:
            found.add(f"{name}: {'some' if value else 'none'}")
    return found


@cache
def plan_of(scale):
    return list(Plan(requests(load_scale(scale))).runs.values())


@cache
def kinds(scale):
    """Every kind of a scale, and each of its networks and datasets by the paper's name."""
    runs, names = plan_of(scale), load_scale(scale)
    found = set().union(*map(kinds_of, runs))
    trained = [run for run in runs if isinstance(run, Training)]
    for kind, of in (("model", names.models), ("dataset", names.datasets)):
        used = {getattr(run, kind) for run in trained}
        found |= {f"{kind} {name}" for name, said in of.items() if said["name"] in used}
    return found


def test_smoke_has_every_kind_of_run_that_the_papers_scale_has():
    assert kinds("paper") - kinds("smoke") == set(NOT_AT_SMOKE)


@pytest.mark.parametrize(
    "kind",
    [
        *STAGES,
        "Ticket.at: eb",
        "Ticket.at: epi",
        "Ticket.at: crop",
        "Ticket.at: crop-code",
        "Ticket.at: none",
        "Ticket.at: best",
        "Ticket.at: some",
        "Ticket.after: some",
        "Ticket.method: taylor",
        "Ticket.method: crop-leak",
        "Ticket.method: grasp-weights",
        "Retrain.rewind: some",
        "Retrain.schedule: budget",
        "Search.soft_ratio: some",
        "Search.factorised: some",
        "Search.joint: some",
        "Search.precision: fp8",
        "Bits.schedule: learned",
        "Retrain.precision: bfp8",
        "Sparse.compact_of: some",
        "Adapt.method: kernel-zeros",
        "model mobilenet",
        "dataset imagenet",
    ],
)
def test_the_kinds_are_told_apart(kind):
    without = [run for run in plan_of("smoke") if kind not in kinds_of(run)]
    assert kind in kinds("smoke")
    assert kind.startswith(("model", "dataset")) or 0 < len(without) < len(plan_of("smoke"))


def test_smoke_is_small():
    trained = [run for run in plan_of("smoke") if not isinstance(run, Ticket)]
    assert len(trained) <= 147
