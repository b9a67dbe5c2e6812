"""Runs and values in words: what a spec is called, and how numbers of a ledger are written. Plain text only."""

import math
import re
from collections.abc import Mapping
from typing import Any

from ebreplicate.catalog import INFO, OWN_STAGES, TITLES
from ebreplicate.specs.graph import root_of
from ebreplicate.specs.spec import Alone

STAGES = {
    "search": "Search",
    "draw": "Draw",
    "retrain": "Retrain",
    "sparse": "Sparse training",
    "adapt": "Adaption",
    "graph": "Graph tickets",
    **{name: stage.title for name, stage in OWN_STAGES.items()},
}
DRAWS = {
    "eb": "where the mask distance settles",
    "epi": "where EPI fires",
    "crop": "where EarlyCroP's rule fires",
    "crop-code": "where EarlyCroP's rule fires, as its code has it",
    "best": "at the best epoch",
}
UNITS = {"seconds": "s", "peak_memory_mb": "MB", "energy_j": "J"}
DASH = "\N{EN DASH}"
"""What nobody has."""
LABELS = {"seconds": "time", "peak_memory_mb": "peak memory", "energy_j": "energy"}
FOUND = {"preresnet20": "PreResNet20", "gru": "GRU"}  # the first as itself, not as what it stands in for in one item


def network(spec: Any) -> str:
    """Network and width of a run."""
    root = root_of(spec)
    name = FOUND.get(root.model) or TITLES.get(root.model, root.model)
    return name + (f" at width {root.width:g}" if root.width != 1 else "")


def dataset(spec: Any) -> str:
    """Dataset of a run, with the size of its subset."""
    root = root_of(spec)
    name = TITLES.get(root.dataset, root.dataset)
    if not root.train_size:
        return name
    return f"{name} ({root.train_size:,} {'characters' if INFO[root.dataset].text else 'images'})"


def ticket(spec: Any) -> str:
    """What a draw takes, and when."""
    what = "weights" if spec.over_weights else "channels"
    number = f", round {spec.round}" if spec.round > 1 else ""
    at = DRAWS.get(spec.at, f"at epoch {spec.at}")
    return f"{100 * spec.ratio:.3g} % of the {what} removed by {spec.method}, drawn {at}{number}"


def detail(spec: Any) -> str:
    """What sets a run apart from others of its network, dataset and seed."""
    if spec.stage == "draw":
        return ticket(spec)
    if spec.stage == "retrain":
        schedule = {"full": "", "continue": ", rest of the schedule", "budget": ", dense budget"}[spec.schedule]
        precision = "" if spec.precision == "fp32" else f", {spec.precision}"
        return f"{ticket(spec.ticket)}; {spec.init}{schedule}{precision}"
    if isinstance(spec, Alone):
        return spec.detail
    if spec.stage == "sparse":
        return f"{spec.method}, {spec.sparsity:.0%} of the weights zero, {spec.distribution}"
    if spec.stage == "adapt":
        return f"{spec.method}, from a search on {dataset(spec.backbone)}"
    soft = f", soft pruning {spec.soft_ratio:g}" if spec.soft_ratio else ""
    f = spec.factorised
    soft += f", factorised at rank scale {f.rank_scale:g} ({f.init}, decay of {f.decay})" if f else ""
    precision = "" if spec.precision == "fp32" else f", {spec.precision}"
    bits = "".join(f", {part.words}" for part in (spec.bits, spec.joint) if part)
    return f"{spec.recipe.epochs} epochs from rate {spec.recipe.lr:g}{soft}{bits}{precision}"


def label(name: object) -> str:
    """A field's name for a reader."""
    return LABELS.get(str(name)) or str(name).replace("_", " ").replace("flops", "FLOPs")


def typeset(text: str) -> str:
    """Numbers in a text with the signs of print: a true minus, plus-minus for +-, a dash for a blank."""
    return DASH if text == "-" else re.sub(r"(?<![\w.)])-(?=\d)", "\N{MINUS SIGN}", text.replace("+-", "±"))


def power(value: float) -> tuple[str, int]:
    """Mantissa with three digits and decimal exponent."""
    exponent = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    mantissa = f"{value / 10**exponent:.2f}"
    return (
        (f"{value / 10 ** (exponent + 1):.2f}", exponent + 1)
        if mantissa in ("10.00", "-10.00")
        else (mantissa, exponent)
    )


def plain(value: Any) -> str:
    """A value of a record or spec in words, whatever it is."""
    if value is None or value == "":
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return typeset(f"{value:.6g}")
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(v) for v in value) or DASH
    return str(value)


def flat(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """(name, value) of every leaf of nested mappings, names joined by dots."""
    out: list[tuple[str, Any]] = []
    for name, value in tree.items():
        inner = isinstance(value, Mapping) and value
        out += flat(value, f"{above}{name}.") if inner else [(f"{above}{name}", value)]
    return out


def duration(seconds: Any) -> str:
    """Seconds as hours, minutes and seconds; a dash for what is not a number."""
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = divmod(round(seconds), 60)[0], round(seconds) // 3600
    return f"{hours:,} h {minutes % 60} min" if hours else f"{minutes} min {round(seconds) % 60} s"


def ledger(cost: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, dict[str, Any]]], list[tuple[str, Any]]]:
    """A cost ledger parted into the conventions it knows, its FLOPs by convention, and its other entries."""
    by_convention = {name: value for name, value in cost.items() if isinstance(value, Mapping)}
    conventions = list(dict.fromkeys(c for value in by_convention.values() for c in value))
    if "draw_flops" in cost:  # the same number under every convention
        by_convention["draw_flops"] = dict.fromkeys(conventions, cost["draw_flops"])
    order = ["forward_flops", "relative_forward", "search_flops", "draw_flops", "retrain_flops", "training_flops"]
    names = sorted(by_convention, key=lambda n: order.index(n) if n in order else len(order))
    rest = [(name, value) for name, value in cost.items() if name not in by_convention]
    return conventions, [(name, dict(by_convention[name])) for name in names], rest
