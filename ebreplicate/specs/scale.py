"""Scales: how large the paper's protocol is run. Python holds the science, the YAML files hold the size."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from ebreplicate.catalog import INFO, takes_images
from ebreplicate.errors import UserError, clipped, shown, unknown
from ebreplicate.files import strict_json
from ebreplicate.specs.fields import Made, from_dict, need
from ebreplicate.specs.spec import Recipe, Search, Sparse

CONFIG = Path(__file__).parents[2] / "workflow" / "config"
SMOKE = "smoke"
"""The scale whose numbers mean nothing."""
SCALES = (SMOKE, "quick", "paper")
Seeds = int | tuple[int, ...]
"""Of an item's settings: how many of the scale's seeds, the first of them; or the seeds themselves."""


def need_seeds(seeds: Seeds, where: str) -> None:
    """Raise UserError unless `seeds`, the setting called `where`, means at least one."""
    number = seeds if isinstance(seeds, int) else len(seeds)
    need(number >= 1, where, f"must be at least 1, or a list of seeds, got {seeds}")


def need_distinct(seeds: Collection[int], where: str) -> None:
    """Raise UserError where `seeds`, the setting called `where`, names one twice."""
    need(len(set(seeds)) == len(seeds), where, f"repeats a seed: {list(seeds)}")


def configuration(name: str) -> str:
    """Text of a file of workflow/config. Raises UserError where the package is installed without the workflow."""
    if not CONFIG.is_dir():
        raise UserError(
            "scale: workflow/config is not beside this package, which is installed without the workflow; clone the "
            "repository and install it with `make venv` or `pip install -e .`"
        )
    return (CONFIG / name).read_text()


@dataclass(frozen=True)
class Scale:
    """One scale. Keys of `datasets` and `models` are the paper's names, their values what runs instead."""

    name: str
    note: str
    comparable: bool
    seeds: tuple[int, ...]
    epochs: dict[int, int]
    draw_epochs: tuple[int, ...]
    recipe: Recipe
    retrain_recipe: Recipe
    datasets: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
    precision: str = "fp32"
    compiled: bool = False
    """Of every recipe that names none, the items' own among them."""
    seeds_of: dict[str, int] = field(default_factory=dict)
    panels: tuple[str, ...] = ()
    """Panels of the paper's figures that are run, as model_dataset by the paper's names; none named: all."""
    ratios: tuple[float, ...] = ()
    """Of the paper's pruning ratios, those that are run; none named: all."""
    runs_per_job: int = 1
    """Trainings of an item that one job runs one after another, where torch takes longer to start than they take."""
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of items, by name, in place of those in workflow/config/items: a scale made in code may have its own."""
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Specs and settings made so far: planning asks for the same searches over and over."""

    @property
    def is_smoke(self) -> bool:
        """Whether its numbers mean nothing about the paper: no published number is shown beside them."""
        return self.name == SMOKE

    def runs_panel(self, model: str, dataset: str) -> bool:
        """Whether the panel of the paper's `model` on `dataset` is run."""
        return not self.panels or f"{model}_{dataset}" in self.panels

    def runs_ratio(self, ratio: float) -> bool:
        """Whether the paper's pruning `ratio` is run."""
        return not self.ratios or ratio in self.ratios

    def chosen(self, seeds: Seeds) -> tuple[int, ...]:
        """The seeds that an item's setting means."""
        return self.seeds[:seeds] if isinstance(seeds, int) else seeds

    def evaluation(self, dataset: str) -> str:
        """What trainings by the scale's recipe on the paper's `dataset` are evaluated on (`Training.evaluation`)."""
        found: str = self.datasets[dataset].get("evaluation", "test")
        return found

    def seeds_for(self, model: str, setting: Seeds | None = None) -> tuple[int, ...]:
        """The seeds that the paper's `model` is run with: all, or the first `seeds_of[model]` of them; of these, those
        that an item's `setting` means."""
        found = self.seeds[: self.seeds_of.get(model, len(self.seeds))]
        return found if setting is None else tuple(seed for seed in found if seed in self.chosen(setting))

    def epoch(self, paper_epoch: int) -> int:
        """The epoch that stands for the paper's `paper_epoch`; raises UserError if the scale schedules none."""
        if paper_epoch not in self.epochs:
            raise UserError(
                f"{self.name}.yaml epochs: no entry for the paper's epoch {paper_epoch}; scheduled: "
                f"{', '.join(map(str, sorted(self.epochs)))}"
            )
        return self.epochs[paper_epoch]

    def _training(
        self, kind: type[Made], model: str, dataset: str, seed: int, recipe: Recipe | None, more: Any
    ) -> Made:
        for kind_of, name, known in (("models", model, self.models), ("datasets", dataset, self.datasets)):
            if name not in known:
                raise unknown(f"{self.name}.yaml {kind_of}", name, known)
        net, data = dict(self.models[model]), dict(self.datasets[dataset])
        names = {"model": net.pop("name"), "dataset": data.pop("name"), "recipe": recipe or self.recipe, "seed": seed}
        if recipe is not None:  # an item with a recipe of its own names its evaluation, where that is not "test"
            data.pop("evaluation", None)
        asked = {**names, "precision": self.precision, **net, **data, **more}
        same = (kind, *asked.items())
        if same not in self._made:
            self._made[same] = kind(**asked)
        made: Made = self._made[same]
        return made

    def search(self, model: str, dataset: str, seed: int, recipe: Recipe | None = None, **more: Any) -> Search:
        """The search that stands for the paper's `model` on `dataset`; `more` are further fields of the spec."""
        return self._training(Search, model, dataset, seed, recipe, more)

    def sparse(self, model: str, dataset: str, seed: int, recipe: Recipe | None = None, **more: Any) -> Sparse:
        """The sparse training that stands for the paper's `model` on `dataset`."""
        return self._training(Sparse, model, dataset, seed, recipe, more)

    def grid(self, item: str, kind: type[Made]) -> Made:
        """What an item runs at this scale beyond the common fields: its section in workflow/config/items/<item>.yaml.

        `kind` is the item's own dataclass of settings, checked like every spec. A scale of another name (a test's)
        takes smoke's section. Raises UserError naming field and fix.
        """
        if item not in self.items:
            return cast(Made, _grid(item, self.name, cast(Any, kind), self.compiled))  # to mypy no class is hashable
        if (item, kind) not in self._made:
            self._made[item, kind] = from_dict(kind, _recipes_with(self.compiled, self.items[item]))
        made: Made = self._made[item, kind]
        return made

    def low_lr(self, recipe: Recipe) -> Recipe:
        """Table 1's [0, 100] schedule: a tenth of the rate from the first epoch, a hundredth from epoch 100."""
        return replace(recipe, lr=recipe.lr * recipe.lr_decay, milestones=(self.epoch(100),))


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Parse KEY=VALUE with YAML values; raises UserError for anything else, and for a key that is given twice."""
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"--config: expected KEY=VALUE, got {shown(pair)}")
        if name in out:
            raise UserError(f"--config {name}: is given twice; give it once")
        out[name] = _yaml(text, f"--config {name}", GivenLoader)
    return out


class StrictLoader(yaml.SafeLoader):
    """YAML without objects, where a key that stands twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; raises yaml.YAMLError for a key that stands twice or is no plain value."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a plain value", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


class GivenLoader(StrictLoader):
    """Likewise, for text that is not ours: aliases make a short text a huge value, or one that contains itself."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node; raises yaml.YAMLError for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read", self.peek_event().start_mark)
        return super().compose_node(parent, index)


def _yaml(text: str, where: str, loader: type[StrictLoader] = StrictLoader) -> Any:
    try:
        return yaml.load(text, loader)
    except yaml.YAMLError as e:
        raise UserError(f"{where}: not YAML ({' '.join(str(e).split())})") from None
    except RecursionError:
        raise UserError(f"{where}: not YAML (nested too deeply)") from None
    except (ValueError, TypeError, LookupError, AttributeError) as e:  # for a scalar that is not what its tag says
        raise UserError(f"{where}: not YAML ({e})") from None


def _check(data: dict[str, Any], where: str, usual: dict[str, Any]) -> None:
    """Check against the JSON schema; one message that names the field, with its `usual` value if overridden."""
    import jsonschema

    try:
        plain = strict_json(json.dumps(data))  # epoch numbers as YAML keys become strings, which is what JSON has
    except (TypeError, ValueError, RecursionError) as e:  # a date, bytes, infinity
        raise UserError(f"{where}: not what JSON can hold ({e})") from None
    validator = jsonschema.Draft202012Validator(json.loads(configuration("schema.json")))
    error = jsonschema.exceptions.best_match(validator.iter_errors(plain))
    if error is not None:
        field = ".".join(str(p) for p in error.absolute_path) or "(top level)"
        top = field.partition(".")[0]
        example = f"; expected, for example, {top}={shown(usual[top])}" if top in usual else ""
        raise UserError(f"{where}: {field}: {clipped(error.message)}{example}")


def _recipes_with(compiled: bool, settings: Any) -> Any:
    """The settings, with `compiled` in every recipe that does not say."""
    if not isinstance(settings, dict):
        return settings
    found = {name: _recipes_with(compiled, value) for name, value in settings.items()}
    recipe = found.get("recipe")
    return found | {"recipe": {"compiled": compiled} | recipe} if isinstance(recipe, dict) else found


@cache
def _grid(item: str, scale: str, kind: Any, compiled: bool) -> Any:
    where = f"items/{item}.yaml"
    data = _yaml(configuration(where), where)
    if not isinstance(data, dict) or set(data) != set(SCALES):
        raise UserError(f"{where}: expected the sections {', '.join(SCALES)}")
    try:
        return from_dict(kind, _recipes_with(compiled, data[scale if scale in data else "smoke"]))
    except UserError as e:
        raise UserError(f"{where}: {scale}: {e}") from None


def _plain_keys(epochs: dict[Any, Any], where: str) -> dict[str, Any]:
    """The mapping of epochs with keys as the schema saw them; 1 and "1" are one key."""
    plain = {str(k): v for k, v in epochs.items()}
    for paper, ours in plain.items():
        if isinstance(ours, bool) or not isinstance(ours, int) or len(paper) > 9:
            raise UserError(f"{where}: epochs.{clipped(paper)}: expected int, got {shown(ours)}")
    return plain


def load_scale(name: str, overrides: dict[str, Any] | None = None) -> Scale:
    """Read a scale, apply overrides of its top-level fields, and check it; raises UserError naming field and fix."""
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    where = f"{name}.yaml"
    usual: dict[str, Any] = {"seeds_of": {}, "compiled": False, "panels": [], "ratios": [], "runs_per_job": 1}
    usual |= _yaml(configuration(where), where)
    given = overrides or {}
    for name_of in given:
        if name_of not in usual:
            raise unknown("--config", name_of, usual)
    data = usual | given
    _check(data, where, {name_of: usual[name_of] for name_of in given})
    whole = {"compiled": data["compiled"]} | data["recipe"]
    recipe, retrain = from_dict(Recipe, whole), from_dict(Recipe, whole | data["retrain_recipe"])
    epochs = {int(k): v for k, v in _plain_keys(data["epochs"], where).items()}
    for paper, ours in epochs.items():
        if not 1 <= ours <= recipe.epochs:
            raise UserError(f"{where}: epochs.{paper}: must lie in 1..{recipe.epochs} (recipe.epochs), got {ours}")
    for draw in data["draw_epochs"]:
        if not isinstance(draw, int) or draw not in epochs:
            raise UserError(f"{where}: draw_epochs: {draw} is unscheduled; add it to epochs, or use one of {[*epochs]}")
    known = [f"{model}_{dataset}" for model in data["models"] for dataset in data["datasets"]]
    for panel in data["panels"]:
        if panel not in known:
            raise unknown(f"{where} panels", panel, known)
    for model in data["seeds_of"]:
        if model not in data["models"]:
            raise unknown(f"{where} seeds_of", model, data["models"])
    scale = Scale(
        name=name,
        note=data["note"],
        comparable=data["comparable"],
        seeds=tuple(data["seeds"]),
        epochs=epochs,
        draw_epochs=tuple(data["draw_epochs"]),
        recipe=recipe,
        retrain_recipe=retrain,
        datasets=data["datasets"],
        models=data["models"],
        precision=data["precision"],
        compiled=data["compiled"],
        seeds_of=data["seeds_of"],
        panels=tuple(data["panels"]),
        ratios=tuple(data["ratios"]),
        runs_per_job=data["runs_per_job"],
    )
    for model, network in scale.models.items():  # specs are built once, so a bad name or size is refused here
        for dataset, images in scale.datasets.items():
            info = INFO.get(images["name"])
            if info is None or takes_images(network["name"], info.shape):
                scale.search(model, dataset, scale.seeds[0])
    return scale
