"""Which runs Figure 1 needs: dense searches, and a retrain a ratio, draw epoch and seed. No torch."""

from dataclasses import dataclass
from typing import Any

from ebreplicate import published
from ebreplicate.experiments.common.panels import panels
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.scale import Scale, Seeds
from ebreplicate.specs.spec import Retrain, Ticket

RATIOS = {
    ("cifar10", "preresnet101"): (0.3, 0.5, 0.7),
    ("cifar10", "vgg16"): (0.3, 0.5, 0.7),
    ("cifar100", "preresnet101"): (0.3, 0.5, 0.7),
    ("cifar100", "vgg16"): (0.1, 0.3, 0.5),
}
STAR = "best-accuracy epoch (star)"
"""The published name of the draw "best"."""


@dataclass(frozen=True)
class Grid(Spec):
    """`best`: whether the best epoch of the search is drawn as well (the star). `seeds`: of the scale's; None: all."""

    best: bool
    seeds: Seeds | None = None


def ratios_of(scale: Scale, dataset: str, model: str) -> tuple[float, ...]:
    """The panel's pruning ratios in the paper that are run at `scale`."""
    return tuple(ratio for ratio in RATIOS[dataset, model] if scale.runs_ratio(ratio))


def seeds_of(scale: Scale, model: str) -> tuple[int, ...]:
    """Seeds of the panels of `model`: every point of a series has the same."""
    return scale.seeds_for(model, scale.grid("fig1_existence", Grid).seeds)


def draws(scale: Scale) -> list[str]:
    """Names of the scale's draws, in order: the paper's epochs and, where the scale has it, "best"."""
    return [*map(str, scale.draw_epochs), *(["best"] if scale.grid("fig1_existence", Grid).best else [])]


def retrains(scale: Scale, dataset: str, model: str, seed: int) -> dict[tuple[float, str], Retrain]:
    """One seed of one panel: retrains by (ratio, draw), draw being the paper's epoch or "best"."""
    search = scale.search(model, dataset, seed)
    at = {name: name if name == "best" else scale.epoch(int(name)) for name in draws(scale)}
    return {
        (ratio, name): Retrain(Ticket(search, ratio, at[name]), scale.retrain_recipe, precision=scale.precision)
        for ratio in ratios_of(scale, dataset, model)
        for name in at
    }


def printed(dataset: str, model: str) -> Any:
    """The published panel, a row a point: `prune_ratio`, `draw` (the name of the draw, or "dense"), `value`, `half`
    (half-length of the printed error bar, nan where none could be read), `uncertainty` and `confidence` (of the
    reading)."""
    points, bars = (published.read(f"eb_fig1_iclr_{name}") for name in ("digitised", "errorbars"))
    points, bars = (t[(t.dataset == dataset) & (t.model == model)] for t in (points, bars))
    half = {(b.prune_ratio, str(b.draw_epoch)): b.err_half_best_pp for b in bars.itertuples()}
    points = points.assign(draw=points.draw_epoch.where(points.metric != "top1", "dense").replace(STAR, "best"))
    where = zip(points.prune_ratio, points.draw, strict=True)
    return points.assign(half=[half.get(point, float("nan")) for point in where])


def runs(scale: Scale) -> list[Spec]:
    """Dense searches and, for every ratio and draw epoch of the paper's panel, one retrain a seed."""
    out: list[Spec] = []
    for seed in scale.seeds:  # seed by seed, so that an interrupted scale has whole panels
        for dataset, model in panels(scale):
            if seed not in seeds_of(scale, model):
                continue
            out += [scale.search(model, dataset, seed), *retrains(scale, dataset, model, seed).values()]
    return out
