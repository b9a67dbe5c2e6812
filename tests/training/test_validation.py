"""Early stopping on held-out training images, from the split to the record."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, no_time_left

from ebreplicate import interrupt, stages
from ebreplicate.data import arrays as datasets
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.specs.spec import Retrain, Search, Sparse, Ticket, canonical, key
from ebreplicate.store.store import Store
from ebreplicate.training.loop import evaluate, fit
from ebreplicate.training.validation import COLUMNS, EarlyStop, Validation, early_stop
from ebreplicate.verify import run_problems

RECIPE = replace(TINY, optimizer="adam", lr=3e-3, weight_decay=0.0, milestones=())
SEARCH = Search("lenet300", "digits", RECIPE, 0, 0.1, train_size=80, test_size=40, validation=20, validation_interval=2)
STEPS = 3 * -(-60 // RECIPE.batch_size)
"""Of three epochs over the 60 images that are not held out."""


@pytest.fixture
def digits():
    return datasets.load("digits", NOWHERE, 80, 40, 20)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A search, a ticket's retrain and a sparse training that hold 20 of 80 images out."""
    store = Store(tmp_path_factory.mktemp("results"))
    stages.search(SEARCH, store, NOWHERE, CPU)
    stages.draw(TICKET.ticket, store)
    stages.retrain(TICKET, store, NOWHERE, CPU)
    stages.sparse(SPARSE, store, NOWHERE, CPU)
    return store


TICKET = Retrain(Ticket(SEARCH, 0.2, "final", "random-weights"), RECIPE, init="rewind")
SPARSE = Sparse(
    "lenet300", "digits", RECIPE, 0, 0.1, train_size=80, test_size=40, validation=20, validation_interval=2,
    method="static", sparsity=0.5,
)  # fmt: skip


def rows_of(store, spec):
    with (store.folder(spec) / "evaluations.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_held_out_images_are_no_training_images_and_the_same_for_all(digits):
    whole = datasets.load("digits", NOWHERE, 80, 40)
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (60, 20, 40)
    together = torch.cat([digits.train.images, digits.validation.images]).flatten(1)
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, whole.train.images.flatten(1).tolist()))
    assert torch.equal(datasets.load("digits", NOWHERE, 80, 40, 20).validation.images, digits.validation.images)
    assert torch.equal(digits.test.images, whole.test.images)
    with pytest.raises(ValueError, match="no images were held out"):
        whole.validating()


def trained(data, hooks=(), **more):
    torch.manual_seed(0)
    model = build("lenet300", 10, 0.1, shape=(3, 32, 32))
    state = fit(model, data, RECIPE, seed=0, hooks=hooks, **more)
    return model, state


def test_evaluating_changes_nothing_about_the_training(digits):
    plain, state = trained(digits)
    watched, seen = trained(digits, [Validation(digits, 1)])
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True))
    assert [r["train_loss"] for r in state.history] == [r["train_loss"] for r in seen.history]


def test_rows_are_what_evaluation_says_of_the_weights_at_each_step(digits):
    hook = Validation(digits, STEPS)  # once, after the last step
    model, state = trained(digits, [hook])
    ((iteration, loss, accuracy, test),) = [tuple(row[c] for c in COLUMNS) for row in hook.rows]
    expected = evaluate(model, replace(digits, test=digits.validation))
    assert iteration == STEPS
    assert loss == pytest.approx(expected[0], rel=1e-5)
    assert accuracy == expected[1]
    assert test == state.history[-1]["test_accuracy"]


def test_early_stopping_is_at_the_first_of_the_least_losses():
    nan = float("nan")
    losses = [0.5, 0.3, 0.3, nan, 0.4]
    rows = [
        dict(zip(COLUMNS, (100 * (i + 1), loss, 90.0, 80.0 + i if i < 2 else nan), strict=True))
        for i, loss in enumerate(losses)
    ]
    assert early_stop(rows) == EarlyStop(200, 81.0)
    assert early_stop([rows[3]]) is None
    assert early_stop([]) is None


@pytest.mark.parametrize("spec", [SEARCH, TICKET, SPARSE], ids=["search", "retrain", "sparse"])
def test_the_record_stops_where_the_held_out_loss_is_least(store, spec):
    rows, metrics = rows_of(store, spec), store.read(spec)["metrics"]
    assert [row["iteration"] for row in rows] == list(range(2, STEPS + 1, 2))
    best = min(rows, key=lambda row: row["validation_loss"])
    assert (metrics["early_stop_iteration"], metrics["early_stop_accuracy"]) == (
        best["iteration"],
        best["test_accuracy"],
    )
    assert "early_stop_epoch" not in metrics
    assert list(run_problems(store.folder(spec), store)) == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("iteration", 3, "its iterations are not 2, 4"),
        ("validation_accuracy", 33.3, "is no count of 20 images"),
        ("validation_loss", 0.001, "test_accuracy is there exactly where the loss is lower"),
    ],
)
def test_verify_reads_the_evaluations(store, tmp_path, column, value, said):
    import shutil

    copy = Store(shutil.copytree(store.root, tmp_path / "results"))
    path = copy.folder(SEARCH) / "evaluations.csv"
    rows = rows_of(copy, SEARCH)
    rows[-1] |= {column: value, "test_accuracy": float("nan")}
    with path.open("w") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    record = json.loads(copy.record_path(SEARCH).read_text())
    del record["files"]["evaluations.csv"]  # its digest, which would tell first
    copy.record_path(SEARCH).write_text(json.dumps(record))
    assert any(said in problem for problem in run_problems(copy.folder(SEARCH), copy))
    path.unlink()
    assert any("evaluations.csv: unreadable" in problem for problem in run_problems(copy.folder(SEARCH), copy))


def test_a_stopped_training_goes_on_with_the_same_evaluations(store, tmp_path):
    other = Store(tmp_path)
    with no_time_left(), pytest.raises(interrupt.Interrupted):
        stages.search(SEARCH, other, NOWHERE, CPU)
    stages.search(SEARCH, other, NOWHERE, CPU)
    texts = [(s.folder(SEARCH) / "evaluations.csv").read_text() for s in (store, other)]
    assert texts[0] == texts[1]
    assert other.read(SEARCH)["metrics"] == store.read(SEARCH)["metrics"]


def test_specs_without_held_out_images_keep_their_keys():
    plain = replace(SEARCH, validation=0, validation_interval=100)
    assert "validation" not in canonical(plain)
    assert key(plain) != key(SEARCH)
    assert SEARCH.train_images == 60
    assert plain.train_images == 80


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"validation": 71}, r"Search.validation: must lie in 0..70 images, got 71"),
        ({"validation": -1}, r"Search.validation: must lie in 0..70"),
        ({"validation_interval": 0}, r"Search.validation_interval: must be at least 1 step, got 0"),
        ({"dataset": "folders", "model": "resnet18"}, r"Search.validation: is not offered for folders"),
    ],
)
def test_impossible_splits_are_refused_by_name(change, said):
    with pytest.raises(UserError, match=said):
        replace(SEARCH, **change)
