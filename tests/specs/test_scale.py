"""Scales: what the files say, and overrides that are refused by the field they name."""

import shutil
from dataclasses import dataclass, replace

import pytest
import yaml

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.planner import requests
from ebreplicate.specs import scale as scales
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import CONFIG, SCALES, load_scale, parse_overrides
from ebreplicate.specs.spec import Recipe, Search


@pytest.mark.parametrize("name", SCALES)
def test_every_scale_loads_and_orders_its_epochs_as_the_paper_does(name):
    scale = load_scale(name)
    ours = [scale.epoch(paper) for paper in sorted(scale.epochs)]
    assert scale.name == name
    assert ours == sorted(ours)
    assert scale.epoch(160) == scale.recipe.epochs


def test_the_paper_scale_is_the_papers_protocol():
    scale = load_scale("paper")
    assert scale.recipe == scale.retrain_recipe == Recipe()
    assert all(paper == ours for paper, ours in scale.epochs.items())
    assert scale.search("vgg16", "cifar100", 2) == Search("vgg16", "cifar100", seed=2)
    assert scale.low_lr(scale.recipe) == Recipe(lr=0.01, milestones=(100,))
    assert scale.comparable


@pytest.mark.parametrize("name", ["smoke", "quick"])
def test_a_reduced_scale_replaces_network_data_and_recipe_by_what_its_file_says(name):
    scale, file = load_scale(name), yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    net, data = file["models"]["preresnet101"], file["datasets"]["cifar10"]
    search = scale.search("preresnet101", "cifar10", 1)
    assert (search.model, search.width) == (net["name"], net["width"])
    assert (search.dataset, search.train_size, search.test_size) == (
        data["name"],
        data["train_size"],
        data["test_size"],
    )
    assert (search.recipe.epochs, search.recipe.lr) == (file["recipe"]["epochs"], file["recipe"]["lr"])
    assert (search.recipe, search.seed) == (scale.recipe, 1)
    assert scale.retrain_recipe.epochs == file["retrain_recipe"].get("epochs", scale.recipe.epochs)
    assert scale.retrain_recipe.batch_size == file["recipe"]["batch_size"]  # what retraining does not name, it inherits
    assert not scale.comparable


def test_an_override_replaces_its_field_once():
    before = load_scale("smoke").seeds
    assert load_scale("smoke", parse_overrides(["seeds=[5, 7]", "precision=bf16"])).seeds == (5, 7)
    assert load_scale("smoke").seeds == before


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sedes=[0]", "^--config: unknown name 'sedes'; did you mean 'seeds'"),
        ("seeds=['0']", r"^smoke\.yaml: seeds\.0: '0' is not of type 'integer'"),
        ("seeds=[-1]", r"^smoke\.yaml: seeds\.0: "),
        ("seeds=[true]", r"^smoke\.yaml: seeds\.0: True is not of type 'integer'"),
        ("seeds=[]", r"^smoke\.yaml: seeds: "),
        ("seeds=[0, 0]", r"^smoke\.yaml: seeds: .*non-unique"),
        ("seeds=0", r"^smoke\.yaml: seeds: 0 is not of type 'array'; expected, for example, seeds=\[0, 1\]$"),
        ("precision=fp16", r"^smoke\.yaml: precision: 'fp16' is not one of"),
        ("recipe={lr: 0.1, epoch: 3}", r"^smoke\.yaml: recipe: .*'epoch' was unexpected"),
        ("recipe={epochs: 6, lr: -1}", r"^Recipe\.lr: must be positive"),
        ("recipe={epochs: 1}", r"^smoke\.yaml: epochs\.\d+: must lie in 1\.\.1 \(recipe\.epochs\), got \d"),
        ("draw_epochs=[1, 30]", r"^smoke\.yaml: draw_epochs: 30 is unscheduled; .*\[1, "),
        ("datasets={cifar10: {name: digits}}", r"^smoke\.yaml: datasets: 'cifar100' is a required property"),
        ("models={vgg16: {name: vgg17}, preresnet101: {name: preresnet20}}", "^model: unknown name 'vgg17'"),
        ("models={vgg16: {name: vgg16, width: 9}, preresnet101: {name: vgg16}}", r"^Search\.width: "),
    ],
)
def test_a_bad_override_is_refused_by_its_field(override, said):
    with pytest.raises(UserError, match=said):
        load_scale("smoke", parse_overrides([override]))


@pytest.mark.parametrize(
    ("text", "said"), [("seeds", "expected KEY=VALUE, got 'seeds'"), ("seeds=[0", "--config seeds: not YAML")]
)
def test_text_that_is_no_override_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        parse_overrides([text])


def test_an_override_that_is_given_twice_is_refused():
    with pytest.raises(UserError, match=r"^--config seeds: is given twice"):
        parse_overrides(["seeds=[0]", "precision=bf16", "seeds=[1]"])


def test_an_unscheduled_epoch_is_refused_with_the_scheduled_ones():
    with pytest.raises(UserError, match=r"smoke\.yaml epochs: no entry for the paper's epoch 30; scheduled: 1, "):
        load_scale("smoke").epoch(30)


def test_an_unknown_scale_is_refused():
    with pytest.raises(UserError, match=r"^scale: unknown name 'papre'; did you mean 'paper'"):
        load_scale("papre")


@dataclass(frozen=True)
class Settings(Spec):
    """Settings of an item that only these tests know."""

    seeds: int
    ratios: tuple[float, ...] = (0.5,)


@pytest.fixture
def item(tmp_path, monkeypatch):
    """Write an item's file; its name is the test's own, because files are read once."""
    (tmp_path / "items").mkdir()
    for file in ("schema.json", "smoke.yaml"):
        shutil.copy(CONFIG / file, tmp_path)
    monkeypatch.setattr(scales, "CONFIG", tmp_path)
    made = []

    def write(text):
        made.append(f"item{len(made)}-{tmp_path.name}")
        (tmp_path / "items" / f"{made[-1]}.yaml").write_text(text)
        return made[-1]

    return write


def test_an_items_section_is_read_with_its_defaults_and_a_tests_scale_takes_smokes(item):
    name, smoke = item("smoke: {seeds: 1}\nquick: {seeds: 2, ratios: [0.3]}\npaper: {seeds: 3}"), load_scale("smoke")
    assert smoke.grid(name, Settings) == Settings(1)
    assert replace(smoke, name="quick").grid(name, Settings) == Settings(2, (0.3,))
    assert replace(smoke, name="tiny").grid(name, Settings) == Settings(1)


@pytest.mark.parametrize(
    ("smoke", "said"),
    [
        ("{seeds: one}", r"smoke: Settings\.seeds: expected int, got 'one'"),
        ("{seeds: 1, seed: 2}", r"smoke: Settings: unknown name 'seed'; did you mean 'seeds'"),
        ("{}", "smoke: Settings: missing field 'seeds'"),
        ("{seeds: 1, seeds: 2}", "'seeds' stands twice"),
        ("{seeds: 1", "not YAML"),
    ],
)
def test_a_bad_section_is_refused_by_file_section_and_field(item, smoke, said):
    name = item(f"smoke: {smoke}\nquick: {{seeds: 1}}\npaper: {{seeds: 1}}")
    with pytest.raises(UserError, match=rf"^items/{name}\.yaml: .*{said}"):
        load_scale("smoke").grid(name, Settings)


def test_an_item_without_every_scale_is_refused(item):
    name = item("smoke: {seeds: 1}")
    with pytest.raises(UserError, match="expected the sections smoke, quick, paper"):
        load_scale("smoke").grid(name, Settings)


@pytest.mark.parametrize("file", sorted(p.name for p in (CONFIG / "items").glob("*.yaml")))
def test_every_items_file_belongs_to_an_experiment(file):
    assert file.removesuffix(".yaml") in EXPERIMENTS


def test_a_network_may_have_fewer_seeds_than_the_scale():
    scale = load_scale("smoke", {"seeds": [3, 5, 7], "seeds_of": {"preresnet101": 2}})
    assert scale.seeds_for("vgg16") == (3, 5, 7)
    assert scale.seeds_for("preresnet101") == (3, 5)
    for item in ("fig1_existence", "fig3_mask_distance", "detector_study"):
        seeds = {(s.seed, s.model) for s in Plan(requests(scale, [item])).runs.values() if isinstance(s, Search)}
        expected = {(seed, scale.models[m]["name"]) for m in ("vgg16", "preresnet101") for seed in scale.seeds_for(m)}
        assert seeds == expected
        rows = EXPERIMENTS.load(item).table(scale, Nothing())
        assert set(rows[rows.model == "preresnet101"].seed) == {3, 5}


@pytest.mark.parametrize("scale", SCALES)
def test_compiled_of_a_scale_holds_for_every_recipe(scale):
    def recipes(compiled):
        specs = Plan(requests(load_scale(scale, compiled))).runs.values()
        return [s.recipe for s in specs if hasattr(s, "recipe")]

    usual, given = recipes({}), recipes({"compiled": True})
    assert {r.compiled for r in usual} == {False}
    assert {r.compiled for r in given} == {True}
    assert {replace(r, compiled=False) for r in given} == set(usual)


def test_a_recipe_that_says_whether_it_is_compiled_keeps_it():
    scale = load_scale("smoke", {"compiled": True, "retrain_recipe": {"epochs": 2, "compiled": False}})
    assert (scale.recipe.compiled, scale.retrain_recipe.compiled) == (True, False)


def test_seeds_of_an_unknown_network_are_refused():
    with pytest.raises(UserError, match=r"smoke\.yaml seeds_of: unknown name 'vgg11'"):
        load_scale("smoke", {"seeds_of": {"vgg11": 1}})


class Nothing:
    """A store without records."""

    def read(self, spec):
        return None
