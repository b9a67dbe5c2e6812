"""A run's history as line charts: coordinates and labels of small static SVGs, drawn by templates/charts.html."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 34
PANELS = (
    ("Loss", "", {"train_loss": "train", "test_loss": "test"}),
    ("Accuracy", "%", {"test_accuracy": "test"}),
    ("Learning rate", "", {"lr": "rate"}),
)
"""Title, unit, and the columns of history.csv that a chart shows, with their names in it."""
MARKED = "test_accuracy"
"""The column whose best epoch is marked."""
Row = dict[str, float]


@dataclass(frozen=True)
class Chart:
    """One chart: `ticks` are (pixel, label), `lines` (name, SVG path), `mark` (x, y, label) of the best epoch."""

    title: str
    unit: str
    summary: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[tuple[str, str]]
    mark: tuple[float, float, str] | None = None
    width: int = field(default=WIDTH, init=False)
    height: int = field(default=HEIGHT, init=False)
    frame: tuple[int, int, int, int] = field(default=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM), init=False)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` + 1 round numbers (1, 2 or 5 times a power of ten apart) that lie in low..high."""
    span = (high - low) / most
    if not span > 0 or not math.isfinite(span):
        return [low]
    unit = 10 ** math.floor(math.log10(span))
    step = next(s * unit for s in (1, 2, 5, 10) if s * unit >= span * 0.999999)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _scale(low: float, high: float, first: float, last: float) -> tuple[float, float]:
    """Slope and offset that take low..high to first..last."""
    slope = (last - first) / (high - low) if high > low else 0.0
    return slope, (first - slope * low) if high > low else (first + last) / 2


def _path(xs: Sequence[float], ys: Sequence[float | None]) -> str:
    """SVG path through the points; a None breaks it, a lone point is a dot (round line ends)."""
    parts, pen_down = [], False
    for x, y in zip(xs, ys, strict=True):
        if y is None:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}" + ("" if pen_down else "h0"))
        pen_down = True
    return "".join(parts)


def _finite(row: Row, column: str) -> float | None:
    value = row.get(column, math.nan)
    return value if math.isfinite(value) else None


def _chart(rows: list[Row], title: str, unit: str, columns: dict[str, str]) -> Chart | None:
    found = {c: [_finite(row, c) for row in rows] for c in columns if any(_finite(row, c) is not None for row in rows)}
    values = [v for series in found.values() for v in series if v is not None]
    if not values:
        return None
    log = "lr" in found and min(values) > 0 and max(values) > 2 * min(values)
    at = math.log10 if log else float
    low, high = at(min(values)), at(max(values))
    pad = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    slope, offset = _scale(low - pad, high + pad, HEIGHT - BOTTOM, TOP)
    epochs = [row["epoch"] for row in rows]
    across, start = _scale(epochs[0], epochs[-1], LEFT + 4, WIDTH - RIGHT - 4)
    xs = [across * e + start for e in epochs]
    steps = sorted(set(values))
    if log:
        steps = (
            steps if len(steps) <= 4 else [10.0**e for e in range(math.ceil(low), math.floor(high) + 1)] or steps[-1:]
        )
    else:
        steps = ticks(low - pad, high + pad)
    lines = [
        (columns[c], _path(xs, [None if v is None else slope * at(v) + offset for v in series]))
        for c, series in found.items()
    ]
    mark, told = None, [f"{columns[c]} {_last(series):g} at the end" for c, series in found.items()]
    if MARKED in found:
        levels = [-math.inf if value is None else value for value in found[MARKED]]
        best = levels.index(max(levels))
        top = found[MARKED][best] or 0.0
        mark = (xs[best], slope * top + offset, f"best {top:.4g}{unit} (epoch {epochs[best]:g})")
        told.append(f"best {top:.4g} at epoch {epochs[best]:g}")
    summary = f"{title} over epochs {epochs[0]:g} to {epochs[-1]:g}: {', '.join(told)}."
    marks_x = [(across * e + start, f"{e:g}") for e in ticks(epochs[0], epochs[-1]) if e == int(e)]
    return Chart(title, unit, summary, marks_x, [(slope * at(s) + offset, f"{s:g}") for s in steps], lines, mark)


@dataclass(frozen=True)
class Bars:
    """A bar a layer: `bars` are (x, y, width, height); the frame is 100 %."""

    title: str
    summary: str
    bars: list[tuple[float, float, float, float]]
    y_ticks: list[tuple[float, str]]
    width: int = field(default=WIDTH, init=False)
    height: int = field(default=HEIGHT, init=False)
    frame: tuple[int, int, int, int] = field(default=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM), init=False)


def kept_by_layer(channels: object, widths: object) -> Bars | None:
    """Share of every layer's channels that a draw keeps; None unless both lists have a sensible number a layer."""
    if not (isinstance(channels, list) and isinstance(widths, list) and 0 < len(channels) == len(widths)):
        return None
    if not all(isinstance(v, int) and v > 0 for v in [*channels, *widths]):
        return None
    shares = [min(1.0, c / w) for c, w in zip(channels, widths, strict=True)]
    step, floor, full = (WIDTH - RIGHT - LEFT) / len(shares), HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    bars = [(LEFT + (i + 0.15) * step, floor - full * s, 0.7 * step, full * s) for i, s in enumerate(shares)]
    least = min(range(len(shares)), key=shares.__getitem__)
    summary = f"Channels kept in {len(shares)} layers: {sum(channels)} of {sum(widths)}, least in layer {least + 1} "
    summary += f"({channels[least]} of {widths[least]})."
    return Bars("Channels kept, by layer", summary, bars, [(floor - full * s, f"{s:.0%}") for s in (0.0, 0.5, 1.0)])


def _last(series: list[float | None]) -> float:
    return next(v for v in reversed(series) if v is not None)


def charts(rows: list[Row]) -> list[Chart]:
    """Loss, accuracy and learning rate over epochs, as far as the history has them."""
    rows = [row for row in rows if _finite(row, "epoch") is not None]
    if not rows:
        return []
    return [c for c in (_chart(rows, title, unit, columns) for title, unit, columns in PANELS) if c]
