"""Modelled energy worked out by hand; measured energy is shared out, never invented."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import tiny_search
from torch import nn

from ebreplicate import cost
from ebreplicate.cost import energy
from ebreplicate.cost.energy import Work, measured, modelled, picojoules, training_joules, work_of
from ebreplicate.models import build
from ebreplicate.pruning.earlybird import RULES
from ebreplicate.specs.spec import Retrain, Search, Sparse, Ticket
from ebreplicate.store.store import Store

WORK = Work(multiply_adds=1000, others=100, activations=50, weights=20)
SEARCH = tiny_search()


def test_energies_of_one_operation_are_the_published_ones():
    table = {("fp32", "multiply"): 3.7, ("fp32", "add"): 0.9, ("int8", "multiply"): 0.2, ("int32", "add"): 0.1}
    assert {k: picojoules(*k) for k in table} == table
    assert math.isnan(picojoules("bf16", "add"))
    assert math.isnan(picojoules("bf4", "add"))


@pytest.mark.parametrize(
    ("precision", "one", "bytes_"),
    [("fp32", 3.7 + 0.9, 4), ("bfp8", 0.2 + 0.1, 1)],
)
def test_a_training_by_hand(precision, one, bytes_):
    # 10 images, 2 epochs, batches of 4: three steps an epoch. DRAM: 1,300 pJ for 8 bytes.
    arithmetic = 2 * 10 * 3 * (1000 * one + 100 * 0.9)
    moved = 2 * (10 * 5 * 50 + 3 * 8 * 20) * bytes_
    expected = (arithmetic + moved * 1300 / 8) * 1e-12
    assert training_joules(WORK, 10, 2, 4, precision) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("precision", ["bf16", "fp8", "tf32"])
def test_a_format_without_published_energies_stays_blank(precision):
    assert training_joules(WORK, 10, 2, 4, precision) is None


def test_work_of_a_network_counts_outputs_weights_and_products():
    torch.manual_seed(0)
    channels = [2, 4, 8, 7, 16, 15, 3, 32, 30, 32, 1, 32, 5]
    model = build("vgg16", 10, 0.0625, channels)
    outputs = 0

    def count(_module, _inputs, out):
        nonlocal outputs
        outputs += out.numel()

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    model.eval()(torch.zeros(1, 3, 32, 32))
    forward = {c: cost.flops(build("vgg16", 10, 0.0625, channels), (3, 32, 32), c) for c in ("authors", "torch")}
    work = work_of(SEARCH, forward, channels)
    assert work.activations == outputs
    assert work.weights == sum(p.numel() for p in model.parameters())
    assert work.multiply_adds == forward["torch"] / 2
    assert work.others == forward["authors"] - forward["torch"] > 0


def test_work_of_a_network_for_gray_images():
    search = Search("lenet300", "mnist", SEARCH.recipe)
    work = work_of(search, {"authors": 3.0, "torch": 2.0})
    assert (work.activations, work.weights) == (300 + 100 + 10, 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10)
    assert (work.multiply_adds, work.others) == (1.0, 1.0)


def record(epochs, forward=None, energy_j=None, status="ok", **cost_fields):
    ledger = {
        "seconds": 1.0,
        "energy_j": energy_j,
        "energy_source": None if energy_j is None else "nvml",
        **cost_fields,
    }
    if forward:
        ledger |= {"forward_flops": forward, "training_flops": forward}
    return {
        "status": status,
        "metrics": {"epochs": epochs, "last_accuracy": 50.0, "best_accuracy": 50.0},
        "cost": ledger,
        "provenance": {},
    }


@pytest.fixture
def store(tmp_path):
    """A search of 3 epochs (30 J), a ticket of epoch 2 and its continuation (4 J)."""
    store = Store(tmp_path)
    dense, small = {"authors": 1000.0, "torch": 900.0}, {"authors": 500.0, "torch": 440.0}
    store.write(SEARCH, record(3, dense, 30.0))
    ticket = Ticket(SEARCH, 0.5, 2)
    drawn = record(None, small, search_flops={"authors": 3 * 1000.0 * 60 * 2})
    drawn["metrics"] = {"epoch": 2, "channels": [2] * 13, "emergence": dict.fromkeys(RULES)}
    store.write(ticket, drawn)
    store.write(Retrain(ticket, SEARCH.recipe), record(1, small, 4.0))
    store.write(Retrain(ticket, SEARCH.recipe, precision="bf16"), record(1, small))
    return store


def test_a_ticket_is_charged_for_its_share_of_the_search(store):
    spec = Retrain(Ticket(SEARCH, 0.5, 2), SEARCH.recipe)
    assert measured(SEARCH, store) == (30.0, "nvml")
    assert measured(spec, store) == (pytest.approx(2 / 3 * 30 + 4), "nvml")
    whole = work_of(SEARCH, {"authors": 1000.0, "torch": 900.0})
    part = work_of(SEARCH, {"authors": 500.0, "torch": 440.0}, [2] * 13)
    expected = training_joules(whole, 60, 2, 20) + training_joules(part, 60, 1, 20)
    assert modelled(spec, store) == pytest.approx(expected)
    assert modelled(SEARCH, store) == pytest.approx(training_joules(whole, 60, 3, 20))


def test_what_is_not_known_is_blank(store):
    bf16 = Retrain(Ticket(SEARCH, 0.5, 2), SEARCH.recipe, precision="bf16")
    assert modelled(bf16, store) is None  # its search has a number, its retrain none
    assert measured(bf16, store) == (None, None)
    never = replace(SEARCH, seed=5)
    assert (modelled(never, store), measured(never, store)) == (None, (None, None))
    store.write(never, record(1, {"authors": 1000.0, "torch": 900.0}, 3.0, status="diverged"))
    assert (modelled(never, store), measured(never, store)) == (None, (None, None))


def test_energies_of_two_kinds_of_counter_are_not_added(store):
    found = store.read(SEARCH)
    found["cost"]["energy_source"] = "rapl"
    store.write(SEARCH, found)
    assert measured(Retrain(Ticket(SEARCH, 0.5, 2), SEARCH.recipe), store) == (None, None)


def test_a_mask_over_weights_saves_no_modelled_energy(store):
    forward = {"authors": 1000.0, "torch": 900.0}
    sparse = Sparse("vgg16", "digits", SEARCH.recipe, 0, 0.0625, 60, 40, method="snip")
    store.write(sparse, record(3, forward))
    assert modelled(sparse, store) == modelled(SEARCH, store)
    ticket = Ticket(SEARCH, 0.5, "final", "magnitude")
    drawn = record(None, forward, search_flops={"authors": 3 * 1000.0 * 60 * 3})
    drawn["metrics"] = {"epoch": 3, "emergence": dict.fromkeys(RULES)}
    store.write(ticket, drawn)
    store.write(spec := Retrain(ticket, SEARCH.recipe, init="rewind"), record(3, forward))
    assert modelled(spec, store) == pytest.approx(2 * modelled(SEARCH, store))


def test_energy_is_planned_without_torch():
    assert "torch" not in vars(energy)
