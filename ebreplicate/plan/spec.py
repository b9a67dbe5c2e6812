"""What a run is: frozen specs that chain by value, and the key that names each run.

A key covers everything that changes a run's numbers and nothing else (not the device, threads, data root or the
experiment that asked). Fields at their default are left out of the canonical form, so a new field with a default
moves no existing key; for the same reason a default is never edited.
"""

import hashlib
import json
import math
import re
import types
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Union, get_args, get_origin

from ebreplicate.errors import UserError, unknown
from ebreplicate.models import MODELS
from ebreplicate.pruning.methods import METHODS
from ebreplicate.training.datasets import DATASETS

NUMERICS = 1
"""Bumped when the golden CPU loss curve changes: it is part of every key."""

INITS = ("inherit", "reinit")
SCHEDULES = ("full", "continue")
AUGMENTATIONS = ("crop-flip", "crop", "none")
PRECISIONS = ("fp32", "tf32", "bf16")
"""fp32 is IEEE single precision on every device; tf32 lets a GPU round the factors of a product to 10 bits; bf16 is
autocast."""
NAMED_DRAWS = ("eb", "best", "final")


def _coerce(value: Any, kind: Any, where: str) -> Any:
    """Check `value` against the annotation `kind`; ints pass as floats, lists as tuples, nothing else is bent."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        for option in get_args(kind):
            try:
                return _coerce(value, option, where)
            except UserError:
                continue
        names = " or ".join(getattr(k, "__name__", str(k)) for k in get_args(kind))
        raise UserError(f"{where}: expected {names}, got {value!r}")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where}: expected a list, got {value!r}")
        return tuple(_coerce(v, get_args(kind)[0], f"{where}[{i}]") for i, v in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is types.NoneType:
        kind = type(None)
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        raise UserError(f"{where}: expected {kind.__name__}, got {value!r} ({type(value).__name__})")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{where}: expected a finite number, got {value!r}")
    # 3 * 0.1 and 0.3, or -0.0 and 0.0, are one number to a person, so they are one number to the key.
    return round(value, 10) + 0.0 if kind is float else value


def _need(ok: bool, where: str, problem: str) -> None:
    if not ok:
        raise UserError(f"{where}: {problem}")


class Spec:
    """Base of all specs: types are checked at construction, before anything is hashed or trained."""

    def __post_init__(self) -> None:
        """Check every field's type, then the spec's own rules."""
        for f in fields(self):  # type: ignore[arg-type]
            where = f"{type(self).__name__}.{f.name}"
            object.__setattr__(self, f.name, _coerce(getattr(self, f.name), f.type, where))
        self._validate()

    def _validate(self) -> None: ...


@dataclass(frozen=True)
class Recipe(Spec):
    """Optimiser, schedule and epochs of one training; defaults are the paper's CIFAR recipe (SGD, [80, 120])."""

    epochs: int = 160
    batch_size: int = 256
    lr: float = 0.1
    milestones: tuple[int, ...] = (80, 120)
    lr_decay: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    l1: float = 1e-4
    augment: str = "crop-flip"

    def _validate(self) -> None:
        _need(self.epochs >= 1, "Recipe.epochs", f"must be at least 1, got {self.epochs}")
        _need(self.batch_size >= 2, "Recipe.batch_size", f"must be at least 2 (batch norm), got {self.batch_size}")
        _need(self.lr > 0, "Recipe.lr", f"must be positive, got {self.lr}")
        _need(0 < self.lr_decay <= 1, "Recipe.lr_decay", f"must lie in (0, 1], got {self.lr_decay}")
        _need(0 <= self.momentum < 1, "Recipe.momentum", f"must lie in [0, 1), got {self.momentum}")
        _need(self.weight_decay >= 0, "Recipe.weight_decay", f"must not be negative, got {self.weight_decay}")
        _need(self.l1 >= 0, "Recipe.l1", f"must not be negative, got {self.l1}")
        ordered = list(self.milestones) == sorted(set(self.milestones))
        _need(ordered, "Recipe.milestones", f"must increase strictly, got {list(self.milestones)}")
        if self.augment not in AUGMENTATIONS:
            raise unknown("Recipe.augment", self.augment, AUGMENTATIONS)

    def lr_at(self, epoch: int) -> float:
        """Learning rate of the 0-based absolute `epoch`: a function of the epoch, so a late start misses no decay."""
        return self.lr * self.lr_decay ** sum(epoch >= m for m in self.milestones)


@dataclass(frozen=True)
class Search(Spec):
    """Dense training in which tickets are looked for (the paper's Algorithm 1, run to the end)."""

    model: str
    dataset: str
    recipe: Recipe = Recipe()
    seed: int = 0
    width: float = 1.0
    train_size: int | None = None
    test_size: int | None = None
    precision: str = "fp32"

    stage = "search"

    def _validate(self) -> None:
        MODELS.check(self.model)
        DATASETS.check(self.dataset)
        _need(0 <= self.seed < 2**32, "Search.seed", f"must lie in 0..2**32-1, got {self.seed}")
        _need(0 < self.width <= 4, "Search.width", f"must lie in (0, 4], got {self.width}")
        for name in ("train_size", "test_size"):
            size = getattr(self, name)
            _need(size is None or size >= 10, f"Search.{name}", f"must be at least 10 images, got {size}")
        if self.precision not in PRECISIONS:
            raise unknown("Search.precision", self.precision, PRECISIONS)

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        width = "" if self.width == 1 else f"w{self.width:g}"
        return f"{self.model}{width}-{self.dataset}-s{self.seed}"


@dataclass(frozen=True)
class Ticket(Spec):
    """A mask drawn from a search at an epoch (`at`: completed epochs, or "eb", "best", "final")."""

    search: Search
    ratio: float
    at: int | str
    method: str = "slimming"

    stage = "draw"

    def _validate(self) -> None:
        METHODS.check(self.method)
        _need(0 < self.ratio < 1, "Ticket.ratio", f"must lie strictly between 0 and 1, got {self.ratio}")
        last = self.search.recipe.epochs
        if isinstance(self.at, str):
            if self.at not in NAMED_DRAWS:
                raise unknown("Ticket.at", self.at, NAMED_DRAWS)
            if self.at == "final":  # one name for one run: the last epoch by number
                object.__setattr__(self, "at", last)
        else:
            _need(1 <= self.at <= last, "Ticket.at", f"draw epoch must lie in 1..{last} (the search), got {self.at}")

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        at = self.at if isinstance(self.at, str) else f"e{self.at}"
        return f"{self.search.slug}-{self.method}-r{self.ratio:g}-{at}"


@dataclass(frozen=True)
class Retrain(Spec):
    """Training of a drawn ticket.

    `init`: "inherit" the ticket's weights (the paper) or "reinit" them. `schedule`: "full" trains all epochs of the
    recipe; "continue" starts at the draw epoch with the learning rate of that absolute epoch, as EB Train does.
    """

    ticket: Ticket
    recipe: Recipe = Recipe()
    init: str = "inherit"
    schedule: str = "full"
    seed: int | None = None
    precision: str = "fp32"

    stage = "retrain"

    def _validate(self) -> None:
        seeded = self.seed is None or 0 <= self.seed < 2**32
        _need(seeded, "Retrain.seed", f"must lie in 0..2**32-1, got {self.seed}")
        if self.init not in INITS:
            raise unknown("Retrain.init", self.init, INITS)
        if self.schedule not in SCHEDULES:
            raise unknown("Retrain.schedule", self.schedule, SCHEDULES)
        if self.precision not in PRECISIONS:
            raise unknown("Retrain.precision", self.precision, PRECISIONS)
        if self.schedule == "continue":
            searched, at = self.ticket.search.recipe.epochs, self.ticket.at
            same = self.recipe.epochs == searched
            _need(same, "Retrain.recipe.epochs", f'"continue" keeps the epoch counter of the search: need {searched}')
            _need(at != searched, "Retrain.schedule", f'"continue" from draw epoch {at} leaves no epoch to train')

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        schedule = "" if self.schedule == "full" else f"-{self.schedule}"
        return f"{self.ticket.slug}-{self.init}{schedule}"


STAGES: dict[str, type[Spec]] = {"search": Search, "draw": Ticket, "retrain": Retrain}


def to_dict(spec: Spec) -> dict[str, Any]:
    """Canonical nested dict of `spec`: fields at their default are left out, tuples become lists."""
    out: dict[str, Any] = {}
    for f in fields(spec):  # type: ignore[arg-type]
        value = getattr(spec, f.name)
        if f.default is not MISSING and value == f.default:
            continue
        out[f.name] = to_dict(value) if is_dataclass(value) else list(value) if isinstance(value, tuple) else value
    return out


def from_dict(kind: type[Spec], data: Any) -> Any:
    """Build a spec of class `kind` from a nested dict; raises UserError naming the field for anything unexpected."""
    if not isinstance(data, dict):
        raise UserError(f"{kind.__name__}: expected a mapping, got {data!r}")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in data:
        if name not in known:
            raise unknown(kind.__name__, name, known)
    missing = [n for n, f in known.items() if f.default is MISSING and n not in data]
    if missing:
        raise UserError(f"{kind.__name__}: missing field {missing[0]!r}")
    nested = {n: known[n].type for n in data if isinstance(known[n].type, type) and issubclass(known[n].type, Spec)}
    return kind(**{n: from_dict(nested[n], v) if n in nested else v for n, v in data.items()})


def canonical(spec: Spec) -> str:
    """Canonical JSON of a run: what the key hashes."""
    body = {"stage": spec.stage, "numerics": NUMERICS, "spec": to_dict(spec)}  # type: ignore[attr-defined]
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key(spec: Spec) -> str:
    """Name of a run: readable slug and ten hex digits of the sha256 of its canonical JSON."""
    digest = hashlib.sha256(canonical(spec).encode()).hexdigest()[:10]
    return f"{re.sub(r'[^a-zA-Z0-9.]+', '-', spec.slug)}-{digest}"  # type: ignore[attr-defined]


def from_json(text: str) -> Any:
    """Read a run's spec back from its canonical JSON, with the same validation as one built in code."""
    try:
        body = json.loads(text)
    except json.JSONDecodeError as e:
        raise UserError(f"spec: not JSON ({e})") from None
    if not isinstance(body, dict) or set(body) != {"stage", "numerics", "spec"}:
        raise UserError("spec: expected an object with the fields stage, numerics and spec")
    if body["stage"] not in list(STAGES):  # a list: any JSON value may stand here, hashable or not
        raise unknown("spec.stage", body["stage"], STAGES)
    if body["numerics"] != NUMERICS:
        raise UserError(f"spec.numerics: this version computes numerics {NUMERICS}, the spec asks {body['numerics']!r}")
    return from_dict(STAGES[body["stage"]], body["spec"])
