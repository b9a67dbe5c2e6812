"""Which sparse trainings on ImageNet the RigL paper and its README print, for ResNet-50 and MobileNet-v1. No torch."""

from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from ebreplicate.errors import unknown
from ebreplicate.specs.fields import Spec, need
from ebreplicate.specs.scale import Scale, Seeds, need_seeds
from ebreplicate.specs.spec import Recipe, Search, Sparse

ITEM, DATASET = "rigl_imagenet", "imagenet"
NETWORKS = ("resnet50", "mobilenet")
METHODS = ("small-dense", "static", "snip", "set", "snfs", "rigl", "gmp")
REPEATED = 5
"""Longest training of RigL's paper, in lengths of the recipe; the README's longer ones are single checkpoints."""
BIG = 1.98
"""Width of the Big-Sparse MobileNet: at 75 % zeros it has the dense network's parameters (RigL, section 4.1.2)."""


class Point(NamedTuple):
    """One sparse training: `multiplier` times the recipe's epochs; `width` times the network's."""

    method: str
    distribution: str
    sparsity: float
    multiplier: float = 1
    smoothing: bool = True
    width: float = 1.0


def _resnet50() -> list[Point]:
    """Fig. 2 (table and both curves), Table 4, and the README's rows."""
    sparse = (0.8, 0.9, 0.95, 0.965)
    uniform, kernel = "uniform", "erk-kernel"
    curve = product(("small-dense", "static", "set", "snfs", "rigl"), (uniform,), (0.8,), (1, 1.5, 2, 3, 4, 5))
    out = [Point(*p) for p in curve] + [Point("gmp", uniform, 0.8, k) for k in (0.5, 2)]
    out += [Point(*p) for p in product(METHODS, (uniform,), sparse)]
    out += [Point(m, kernel, s) for m, s in product(("static", "snfs", "rigl"), sparse)]
    out += [Point("rigl", d, s, 5) for d, s in product((uniform, kernel), sparse)]
    out += [Point("small-dense", uniform, s, 5) for s in (0.8, 0.9)]
    out += [Point("gmp", uniform, s, 1.5) for s in sparse]
    out += [Point("rigl", kernel, 0.99, k) for k in (5, 10, 40, 100)]
    return out + [Point("rigl", kernel, s, k, smoothing=False) for s, k in product((0.8, 0.9, 0.95), (1, 5))]


def _mobilenet() -> list[Point]:
    """Fig. 3 (table) and the README's rows; every method at the plain length besides."""
    out = [Point(m, "uniform", s) for s, m in product((0.75, 0.9), METHODS)]
    out += [Point("rigl", "erk-kernel", s) for s in (0.75, 0.9)]
    out += [Point("small-dense", "uniform", s, 5) for s in (0.75, 0.9)]
    out += [Point("rigl", d, s, 5) for d, s in product(("uniform", "erk-kernel"), (0.75, 0.9))]
    out += [Point("rigl", "uniform", 0.9, k) for k in (10, 50, 100)]
    out += [Point("rigl", "erk-kernel", 0.9, k) for k in (10, 50)]
    return out + [Point("rigl", d, 0.75, 5, width=BIG) for d in ("uniform", "erk-kernel")]


POINTS = {"resnet50": tuple(dict.fromkeys(_resnet50())), "mobilenet": tuple(dict.fromkeys(_mobilenet()))}
"""Every point once, by network."""


@dataclass(frozen=True)
class Network(Spec):
    """One network: the recipe of all its trainings, and which sparsities and lengths of `POINTS` are run, by which
    methods (none named: all)."""

    recipe: Recipe
    sparsities: tuple[float, ...]
    multipliers: tuple[float, ...]
    methods: tuple[str, ...] = ()

    def _validate(self) -> None:
        need(bool(self.sparsities), "Network.sparsities", "is empty")
        need(bool(self.multipliers), "Network.multipliers", "is empty")
        for method in self.methods:
            if method not in METHODS:
                raise unknown("Network.methods", method, METHODS)

    def runs(self, point: Point) -> bool:
        """Whether a printed point is run."""
        length, chosen = point.multiplier in self.multipliers, point.method in (self.methods or METHODS)
        return point.sparsity in self.sparsities and length and chosen


@dataclass(frozen=True)
class Grid(Spec):
    """What this item runs at a scale (workflow/config/items/rigl_imagenet.yaml). `longer_seeds`: of the scale's seeds,
    those of trainings longer than `REPEATED` times the recipe."""

    seeds: Seeds
    longer_seeds: int
    precision: str
    interval: int
    gmp_interval: int
    stop: float
    resnet50: Network
    mobilenet: Network

    def _validate(self) -> None:
        need_seeds(self.seeds, "Grid.seeds")
        most = self.seeds if isinstance(self.seeds, int) else len(self.seeds)
        many = self.longer_seeds
        need(0 <= many <= most, "Grid.longer_seeds", f"must lie in 0..{most} (seeds), got {many}")

    def network(self, model: str) -> Network:
        """Settings of a network."""
        found: Network = getattr(self, model)
        return found

    def points(self, model: str) -> list[Point]:
        """The printed points of a network that are run at this scale."""
        return [point for point in POINTS[model] if self.network(model).runs(point)]


Grid.nested = dict.fromkeys(NETWORKS, Network)


def grid_of(scale: Scale) -> Grid:
    """The item's settings at `scale`."""
    return scale.grid(ITEM, Grid)


def dense_run(scale: Scale, model: str, seed: int) -> Search:
    """The dense network, trained by the same recipe."""
    grid = grid_of(scale)
    return scale.search(model, DATASET, seed, grid.network(model).recipe, precision=grid.precision)


def sparse_run(scale: Scale, model: str, point: Point, seed: int) -> Sparse:
    """The training behind a point."""
    grid = grid_of(scale)
    recipe = grid.network(model).recipe
    width = scale.models[model].get("width", 1.0) * point.width
    return scale.sparse(
        model,
        DATASET,
        seed,
        recipe if point.smoothing else replace(recipe, label_smoothing=0.0),
        precision=grid.precision,
        method=point.method,
        sparsity=point.sparsity,
        distribution=point.distribution,
        interval=grid.gmp_interval if point.method == "gmp" else grid.interval,
        stop=grid.stop,
        multiplier=float(point.multiplier),
        **({"width": width} if point.width != 1 else {}),
    )


def planned(scale: Scale) -> list[tuple[str, Point | None, int, Search | Sparse]]:
    """(network, point or None for the dense network, seed, run) of every row, seed by seed."""
    grid, out = grid_of(scale), list[tuple[str, Point | None, int, Search | Sparse]]()
    for place, seed in enumerate(scale.chosen(grid.seeds)):
        for model in NETWORKS:
            out.append((model, None, seed, dense_run(scale, model, seed)))
            for point in grid.points(model):
                if point.multiplier <= REPEATED or place < grid.longer_seeds:
                    out.append((model, point, seed, sparse_run(scale, model, point, seed)))
    return out


def runs(scale: Scale) -> list[Spec]:
    """One training a printed point and seed, as far as the scale goes."""
    return [spec for *_, spec in planned(scale)]
