"""Which runs the lottery-ticket item needs: rounds of train, prune, rewind, with their controls. No torch."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket

ITEM = "lottery_tickets"
SMALL = ("lenet300", "conv2", "conv4", "conv6")
DEEP = ("vgg19", "preresnet20")
TRIALS = dict.fromkeys(SMALL, 5)
"""Trainings behind a published number; of the deep networks it is not said, and one is assumed."""
DATASET = {"lenet300": "mnist"} | dict.fromkeys((*SMALL[1:], *DEEP), "cifar10")


@dataclass(frozen=True)
class Panel(Spec):
    """One network: its recipe, and how often which fraction of what is left is removed.

    `control_rounds`: the rounds in which the controls are trained as well; None: all of them. `validation`: training
    images held out for early stopping; 0: it is read from the test loss after each epoch. The other four fields with a
    default are for deep networks: the rates that `recipe.lr` is set against, epochs of warmup at `warm_lr`, and the
    epoch of the search to which tickets of the high rate are rewound as well.
    """

    recipe: Recipe
    rounds: int
    ratio: float = 0.2
    low_lr: float = 0.01
    warm_lr: float = 0.1
    warmup: int = 1
    rewind: int = 1
    control_rounds: tuple[int, ...] | None = None
    validation: int = 0

    def _validate(self) -> None:
        need(self.rounds >= 1, "Panel.rounds", f"must be at least 1, got {self.rounds}")
        need(0 < self.ratio < 1, "Panel.ratio", f"must lie strictly between 0 and 1, got {self.ratio}")
        need(self.low_lr > 0, "Panel.low_lr", f"must be positive, got {self.low_lr}")
        need(self.warm_lr > 0, "Panel.warm_lr", f"must be positive, got {self.warm_lr}")
        for number in self.control_rounds or ():
            inside = 1 <= number <= self.rounds
            need(inside, "Panel.control_rounds", f"must lie in 1..{self.rounds} (rounds), got {number}")
        last = self.recipe.epochs
        need(1 <= self.warmup <= last, "Panel.warmup", f"must lie in 1..{last} (recipe.epochs), got {self.warmup}")
        need(1 <= self.rewind < last, "Panel.rewind", f"must lie in 1..{last - 1}, got {self.rewind}")

    def controlled(self, number: int) -> bool:
        """Whether the controls of a round are trained."""
        return self.control_rounds is None or number in self.control_rounds

    def left(self, number: int) -> float:
        """Fraction of the weights left after a round, where every layer has the full rate."""
        return (1 - self.ratio) ** number

    @property
    def settings(self) -> dict[str, tuple[Recipe, int]]:
        """Recipe and rewind epoch of every setting of a deep network."""
        low = replace(self.recipe, lr=self.low_lr)
        warm = replace(self.recipe, lr=self.warm_lr, warmup=self.warmup)
        return {
            "high": (self.recipe, 0),
            "low": (low, 0),
            "warmup": (warm, 0),
            "rewind": (self.recipe, self.rewind),
        }


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale: a panel a network; how many of the scale's seeds, of deep networks apart."""

    seeds: Seeds
    deep_seeds: Seeds
    lenet300: Panel | None = None
    conv2: Panel | None = None
    conv4: Panel | None = None
    conv6: Panel | None = None
    vgg19: Panel | None = None
    preresnet20: Panel | None = None

    def _validate(self) -> None:
        for name in ("seeds", "deep_seeds"):
            need_seeds(getattr(self, name), f"Grid.{name}")

    @property
    def panels(self) -> dict[str, Panel]:
        """Panels by network, those that are run."""
        return {name: getattr(self, name) for name in (*SMALL, *DEEP) if getattr(self, name) is not None}


Grid.nested = dict.fromkeys((*SMALL, *DEEP), Panel)


@dataclass(frozen=True)
class Planned:
    """One run of the item and where it stands: round 0 is the dense search."""

    model: str
    setting: str
    series: str
    round: int
    seed: int
    spec: Search | Retrain


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid(ITEM, Grid)


def rounds(search: Search, panel: Panel, rewind: int) -> Iterator[tuple[int, str, Retrain]]:
    """Rounds of iterative magnitude pruning: the rewound ticket, and at equal counts per layer its controls.

    "reinit": the ticket's mask, fresh weights; "random": as many weights anywhere in the layer, fresh weights.
    """
    recipe, precision, after = search.recipe, search.precision, None
    for number in range(1, panel.rounds + 1):
        ticket = Ticket(search, panel.ratio, "final", "magnitude", after)
        chance = replace(ticket, method="random-weights")
        trained = Retrain(ticket, recipe, init="rewind", rewind=rewind, precision=precision)
        yield number, "ticket", trained
        if panel.controlled(number):
            yield number, "reinit", Retrain(ticket, recipe, init="reinit", precision=precision)
            yield number, "random", Retrain(chance, recipe, init="reinit", precision=precision)
        after = trained


def planned(scale: Scale, models: Collection[str] = (*SMALL, *DEEP)) -> list[Planned]:
    """Every run of the item, of the networks `models`, in the order of its table."""
    grid, out = grid_of(scale), []
    for model, panel in grid.panels.items():
        if model not in models:
            continue
        deep = model in DEEP
        settings = panel.settings if deep else {"plain": (panel.recipe, 0)}
        for seed in scale.chosen(grid.deep_seeds if deep else grid.seeds):
            for setting, (recipe, rewind) in settings.items():
                search = scale.search(model, DATASET[model], seed, recipe, validation=panel.validation)
                if not rewind:
                    out.append(Planned(model, setting, "dense", 0, seed, search))
                wanted = ("ticket",) if rewind else ("ticket", "reinit") if deep else ("ticket", "reinit", "random")
                for number, series, spec in rounds(search, panel, rewind):
                    if series in wanted:
                        out.append(Planned(model, setting, series, number, seed, spec))
    return out


def runs(scale: Scale, models: Collection[str] = (*SMALL, *DEEP)) -> list[Spec]:
    """One dense search a seed and setting, and per round the ticket and its controls."""
    return [run.spec for run in planned(scale, models)]
