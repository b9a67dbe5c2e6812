"""A weight agnostic run: the same every time, interrupted or not; checked by verify; bad input refused by its field."""

import json
from dataclasses import replace

import pytest
from synthetic import edited

from ebreplicate import interrupt
from ebreplicate.cli import main
from ebreplicate.errors import UserError
from ebreplicate.interrupt import CONTINUE
from ebreplicate.specs.spec import canonical, from_json, key
from ebreplicate.store.store import Store
from ebreplicate.verify import run_problems, verify
from ebreplicate.wann import stage, swingup
from ebreplicate.wann.spec import WeightAgnostic

SIZES = {"generations": 3, "population": 8, "tests": 2}
SWING = WeightAgnostic("swing-up", cases=1, **SIZES)
DIGITS = WeightAgnostic("digits", cases=60, initial=0.05, **SIZES)
RELEASED = WeightAgnostic("swing-up", tests=2)
ALL = (SWING, DIGITS, RELEASED)


@pytest.fixture(autouse=True)
def _short_episodes(monkeypatch):
    monkeypatch.setattr(swingup, "STEPS", 40)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("wann") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(swingup, "STEPS", 40)
        assert main(["wann", *map(canonical, ALL), "--results", str(root)]) == 0
    return root


def test_names_of_runs_do_not_move():
    assert [key(spec) for spec in ALL] == [
        "wann-swing-up-g3-p8-s0-81f3d9838f",
        "wann-digits-g3-p8-s0-c56d37b615",
        "wann-swing-up-released-t2-s0-5fd720e1ac",
    ]


def test_records_have_what_the_protocol_names_and_verify_agrees(results):
    assert verify(results) == (3, [])
    by_task = [Store(results).read(spec)["metrics"]["score"] for spec in ALL]
    assert set(by_task[0]) == set(by_task[2]) == {"individual", "shared", "six", "tuned", "tuned_weight"}
    assert set(by_task[1]) == {"individual", "shared", "six", "vote", "tuned", "tuned_weight"}
    rows = (Store(results).folder(SWING) / "history.csv").read_text().splitlines()
    assert len(rows) == 4
    assert Store(results).read(RELEASED)["metrics"]["connections"] == 52


def stopped_after(generations, monkeypatch):
    """Have the run asked to stop before that many generations are there."""
    asked = iter([False] * generations + [True])
    monkeypatch.setattr(interrupt, "wanted", lambda: next(asked, False))


@pytest.mark.parametrize("spec", [SWING, DIGITS], ids=["swing-up", "digits"])
def test_a_search_that_was_stopped_goes_on_to_the_same_record(spec, results, tmp_path, monkeypatch, capsys):
    arguments = ["wann", canonical(spec), "--results", str(tmp_path)]
    with monkeypatch.context() as patch:
        stopped_after(2, patch)
        assert main(arguments) == CONTINUE
    assert "generation 2 of 3: stopped" in capsys.readouterr().err
    assert (Store(tmp_path).folder(spec) / "checkpoint.pt").is_file()
    assert main(arguments) == 0
    ours, whole = (Store(root).read(spec) for root in (tmp_path, results))
    assert ours["metrics"] == whole["metrics"]
    assert ours["files"] == whole["files"]
    assert ours["cost"]["training_flops"] == whole["cost"]["training_flops"]
    assert not (Store(tmp_path).folder(spec) / "checkpoint.pt").exists()


@pytest.mark.parametrize("damage", ["", "{", '{"key": "another"}', '{"key": 1, "key": 2}'])
def test_a_damaged_checkpoint_is_discarded_with_a_line(damage, tmp_path, capsys):
    path = Store(tmp_path).folder(SWING) / "checkpoint.pt"
    path.parent.mkdir(parents=True)
    path.write_text(damage)
    assert stage.resumed(SWING, None, None, path) is None
    assert "checkpoint discarded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["score"].update(vote=50.1), "score.vote 50.1 is no count"),
        (lambda m: m["score"].update(tuned_weight=7.0), "tuned_weight 7 is not the best"),
        (lambda m: m.update(connections=1), "not those of its champion"),
        (lambda m: m.update(fitness=0.0), "of the last generation"),
        (lambda m: m.update(generations=4), "generations 4 against 3"),
        (lambda m: m["score"].pop("six"), "are not the tests of its task"),
        (lambda m: m.update(champion="{}"), "lacks what a record of its stage has"),
    ],
)
def test_an_edited_record_is_found(change, message, results, tmp_path):
    store = edited(Store(results), DIGITS, tmp_path, change)
    assert any(message in problem for problem in run_problems(store.folder(DIGITS), store))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "swingup"}, "did you mean 'swing-up'"),
        ({"task": "digits"}, "WeightAgnostic.generations: must be at least 1"),
        ({"population": 1}, r"WeightAgnostic.population: must lie in 2\.\.10000"),
        ({"task": "digits", "generations": 1, "cases": 1438}, r"WeightAgnostic.cases: must lie in 1\.\.1437"),
        ({"elite": 0.9}, "WeightAgnostic.elite"),
        ({"initial": 1.5}, "WeightAgnostic.initial"),
        ({"tests": 0}, "WeightAgnostic.tests"),
        ({"seed": -1}, "WeightAgnostic.seed"),
        ({"sead": 1}, "did you mean 'seed'"),
    ],
)
def test_a_spec_that_means_nothing_is_refused_by_its_field(fields, message):
    body = {"numerics": 1, "spec": {"task": "swing-up", **fields}, "stage": "wann"}
    with pytest.raises(UserError, match=message):
        from_json(json.dumps(body))


def test_seeds_differ_in_their_name_and_their_random_numbers():
    assert key(SWING) != key(replace(SWING, seed=1))
    one, other = (stage.stream(spec, stage.SEARCHED).random() for spec in (SWING, replace(SWING, seed=1)))
    assert one != other
