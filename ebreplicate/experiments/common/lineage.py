"""Numbers that know which records they were computed from, so that a page can link them. No torch."""

from collections.abc import Callable, Iterable
from typing import Any


def records_of(*values: object) -> frozenset[str]:
    """Keys of all records behind `values`; a value that carries none adds none."""
    return frozenset().union(*(getattr(value, "records", ()) for value in values))


def _carrying(name: str) -> Callable[..., Any]:
    """The operator `name` of float, whose result carries the records of its operands."""
    plain = getattr(float, name)

    def operator(self: "Traced", *others: object) -> Any:
        value = plain(self, *others)
        return value if value is NotImplemented else Traced(value, records_of(self, *others))

    return operator


class Traced(float):
    """A float and the keys of the records behind it; sums, differences, products and ratios carry them on.

    Whatever else is done with it (comparison, formatting, math, numpy) sees a plain float, and yields one.
    """

    __slots__ = ("records",)
    records: frozenset[str]

    def __new__(cls, value: float, records: Iterable[str] = ()) -> "Traced":
        """`value` as measured in `records`."""
        self = super().__new__(cls, value)
        self.records = frozenset(records)
        return self

    __add__, __radd__ = _carrying("__add__"), _carrying("__radd__")
    __sub__, __rsub__ = _carrying("__sub__"), _carrying("__rsub__")
    __mul__, __rmul__ = _carrying("__mul__"), _carrying("__rmul__")
    __truediv__, __rtruediv__ = _carrying("__truediv__"), _carrying("__rtruediv__")
    __neg__, __abs__ = _carrying("__neg__"), _carrying("__abs__")
