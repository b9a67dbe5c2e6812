"""How specs check themselves: types at construction, one message that names the field. No torch."""

import json
import math
import types
from collections.abc import Collection, Iterable
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin

from ebreplicate.errors import UserError, shown, unknown

LARGEST = 2**53
"""Of an integer: beyond it, other readers of JSON would read another number."""


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
        raise UserError(f"{where}: expected {names}, got {shown(value)}")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where}: expected a list, got {shown(value)}")
        return tuple(_coerce(v, get_args(kind)[0], f"{where}[{i}]") for i, v in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1000 else math.inf  # a larger one is no float
    if kind is int and isinstance(value, int) and abs(value) >= LARGEST:
        raise UserError(f"{where}: expected less than 2**53, got {shown(value)}")
    if kind is types.NoneType:
        kind = type(None)
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        raise UserError(f"{where}: expected {kind.__name__}, got {shown(value)} ({type(value).__name__})")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{where}: expected a finite number, got {shown(value)}")
    # 3 * 0.1 and 0.3, or -0.0 and 0.0, are one number to a person, so they are one number to the key.
    return round(value, 10) + 0.0 if kind is float else value


def need(ok: bool, where: str, problem: str) -> None:
    """Raise UserError "where: problem" unless `ok`."""
    if not ok:
        raise UserError(f"{where}: {problem}")


def need_known(names: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise UserError for the first of `names`, the setting called `where`, that is not among `known`."""
    for name in names:
        if name not in known:
            raise unknown(where, name, known)


@cache
def _checks(spec: Any) -> list[tuple[str, Any, frozenset[type], str]]:
    """Of each field: its name, its annotation, the types of it that need no closer look, and what a message calls it.

    Worked out once a class, since every command plans thousands of specs. Numbers are looked at one by one.
    """
    checks = []
    for f in fields(spec):
        union = get_origin(f.type) in (Union, types.UnionType)
        options = get_args(f.type) if union else (f.type,)
        plain = {o for o in options if isinstance(o, type) and issubclass(o, (str, bool, types.NoneType, Spec))}
        checks.append((f.name, f.type, frozenset(plain), f"{spec.__name__}.{f.name}"))
    return checks


@dataclass(frozen=True)
class Spec:
    """Base of all specs: types are checked at construction, before anything is hashed or trained."""

    stage: ClassVar[str] = ""
    """Stage that runs it; empty for what is no run."""
    nested: ClassVar[dict[str, type["Spec"]]] = {}
    """Classes of fields whose annotation cannot name them, because they are defined later."""

    def __post_init__(self) -> None:
        """Check every field's type, then the spec's own rules."""
        for name, kind, as_it_is, where in _checks(type(self)):  # type: ignore[arg-type]
            value = getattr(self, name)
            if type(value) not in as_it_is:
                object.__setattr__(self, name, _coerce(value, kind, where))
        self._validate()

    def _validate(self) -> None: ...

    @property
    def slug(self) -> str:
        """Human-readable part of a run's key."""
        raise NotImplementedError(f"{type(self).__name__} is not a run")


Made = TypeVar("Made", bound=Spec)


@cache
def _by_name(kind: Any) -> list[Field[Any]]:
    return sorted(fields(kind), key=lambda f: f.name)


def to_json(spec: Spec) -> str:
    """Canonical JSON of `spec`: names sorted, no spaces, fields at their default left out, tuples as lists.

    Remembered in the spec, which is frozen: a plan names thousands of runs, and most are nested of the same specs.
    """
    known: str | None = spec.__dict__.get("_json")
    if known is None:
        parts = []
        for f in _by_name(type(spec)):  # type: ignore[arg-type]
            value = getattr(spec, f.name)
            if f.default is not MISSING and value == f.default:
                continue
            text = (
                to_json(value) if isinstance(value, Spec) else json.dumps(value, allow_nan=False, separators=(",", ":"))
            )
            parts.append(f'"{f.name}":{text}')
        known = "{" + ",".join(parts) + "}"
        object.__setattr__(spec, "_json", known)
    return known


def from_dict(kind: type[Made], data: Any) -> Made:
    """Build a spec of class `kind` from a nested dict; raises UserError naming the field for anything unexpected."""
    if not isinstance(data, dict):
        raise UserError(f"{kind.__name__}: expected a mapping, got {shown(data)}")
    known = {f.name: f for f in fields(kind)}
    for name in data:
        if name not in known:
            raise unknown(kind.__name__, name, known)
    missing = [n for n, f in known.items() if f.default is MISSING and n not in data]
    if missing:
        raise UserError(f"{kind.__name__}: missing field {missing[0]!r}")
    kinds = {n: known[n].type for n in data}
    nested = {n: k for n, k in kinds.items() if isinstance(k, type) and issubclass(k, Spec)}
    nested |= {n: k for n, k in kind.nested.items() if data.get(n) is not None}
    return kind(**{n: from_dict(nested[n], v) if n in nested else v for n, v in data.items()})
