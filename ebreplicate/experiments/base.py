"""What an experiment is: runs, table, figure, cells beside the paper's, claims. No torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ebreplicate.lineage import Evidence, Traced, records_of
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Retrain, Search, Spec, Ticket, key
from ebreplicate.stats import Interval, t_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ebreplicate.records import Store

ACCURACY, COST, ARITHMETIC, REMARK = "accuracy", "cost", "arithmetic", "remark"
"""Kinds of claims: only those about accuracy count as replication."""
SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_RUN = "supported", "not supported", "inconclusive", "not run"


@dataclass(frozen=True)
class Cell:
    """One number of the paper beside ours. `tolerance`: allowed difference, from a rule; nan where nothing is printed.

    `exact` marks arithmetic that is the same at every scale, so that it is comparable at every scale. `context`
    marks a number of another network or dataset, given for orientation and never judged. `imprecise` marks a
    measurement that scatters too much to agree with anything: it can only differ. `model` to `method`: where
    it stands, by the paper's names, as far as the item has them.
    """

    cell: str
    published: float
    measured: Interval
    unit: str
    source: str
    selection: str = ""
    tolerance: float = math.nan
    exact: bool = False
    note: str = ""
    context: bool = False
    imprecise: bool = False
    model: str = ""
    dataset: str = ""
    ratio: float = math.nan
    draw: str = ""
    method: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, judged. `rule` says how, before the numbers are seen; `evidence` is the numbers in words.

    `difference`: what is judged, with its interval; None for counts and arithmetic. `bound`: what it is held against.
    `p`, `p_holm`: against the bound, alone and after correction over the claim's `family` (nan: no family, or no
    interval). `points_to`: the side of the bound that all seeds lie on. `kind`: accuracy, cost, arithmetic or remark.
    """

    name: str
    statement: str
    source: str
    rule: str
    verdict: str
    evidence: str
    n: int
    kind: str = ACCURACY
    difference: Interval | None = None
    bound: float = math.nan
    unit: str = "pp"
    p: float = math.nan
    p_holm: float = math.nan
    family: str = ""
    points_to: str = ""

    @property
    def records(self) -> frozenset[str]:
        """Keys of the records behind it."""
        return records_of(self.evidence, self.difference)


@dataclass(frozen=True)
class Experiment:
    """Base of all experiments. `item` names its table and figure files."""

    item: str
    title: str
    category: str
    caption: str
    labels: dict[str, str] = field(default_factory=dict)
    trains_on_cpu: bool = False
    """Whether a CPU trains the item at the papers' own scale, in hours."""

    @property
    def short_title(self) -> str:
        """The title up to its colon: "Figure 1"."""
        return self.title.partition(":")[0]

    def runs(self, scale: Scale) -> list[Spec]:
        """Every run this item needs at `scale`; what they depend on is added by the plan."""
        raise NotImplementedError

    def table(self, scale: Scale, store: "Store") -> "pd.DataFrame":
        """Records to a tidy table; a run that is missing is a row with status "not run"."""
        raise NotImplementedError

    def figure(self, scale: Scale, table: "pd.DataFrame") -> "Figure":
        """Table to figure."""
        raise NotImplementedError

    def cells(self, scale: Scale, table: "pd.DataFrame") -> list[Cell]:
        """The paper's numbers beside ours."""
        return []

    def claims(self, scale: Scale, table: "pd.DataFrame") -> list[Claim]:
        """The paper's claims that this item can judge."""
        return []


def accuracies(record: dict[str, Any]) -> dict[str, Any]:
    """Accuracies of a finished run. One that diverged or had no ticket has none, so that no mean counts it."""
    names = ("last_accuracy", "best_accuracy")
    return {name: record["metrics"][name] if record["status"] == "ok" else None for name in names}


def search_row(spec: Search, store: "Store", **names: Any) -> dict[str, Any]:
    """Table row of a dense search."""
    record = store.read(spec)
    base = {**names, "seed": spec.seed, "search_epochs": spec.recipe.epochs, "key": key(spec)}
    if record is None:
        return {**base, "status": NOT_RUN}
    return {
        **base,
        "status": record["status"],
        **accuracies(record),
        "training_flops": record["cost"]["training_flops"]["authors"],
        "seconds": record["cost"]["seconds"],
    }


def retrain_row(spec: Retrain, store: "Store", **names: Any) -> dict[str, Any]:
    """Table row of a retrained ticket; `epoch` is the draw epoch it resolved to."""
    ticket = spec.ticket
    base = {
        **names,
        "ratio": ticket.ratio,
        "seed": ticket.search.seed,
        "search_epochs": ticket.search.recipe.epochs,
        "init": spec.init,
        "key": key(spec),
    }
    drawn, record = store.read(ticket), store.read(spec)
    if drawn is not None:
        m = drawn["metrics"]
        base |= {"epoch": m["epoch"], "empty_layers": m.get("empty_layers")}
    if record is None:
        return {**base, "status": NOT_RUN}
    return {
        **base,
        "status": record["status"],
        **accuracies(record),
        "training_flops": record["cost"].get("training_flops", {}).get("authors"),
        "seconds": record["cost"].get("seconds"),
    }


COLUMNS = [
    "model",
    "dataset",
    "ratio",
    "draw",
    "epoch",
    "seed",
    "init",
    "schedule",
    "status",
    "last_accuracy",
    "best_accuracy",
    "training_flops",
    "seconds",
    "empty_layers",
    "search_epochs",
    "key",
]


def tidy(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    """Rows to a frame with the standard columns, whatever the records held."""
    import pandas as pd

    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def by_seed(
    table: "pd.DataFrame", column: str = "last_accuracy", keys: str = "key", /, **where: Any
) -> dict[int, float]:
    """Values of `column` per seed in the rows that match `where`; rows without a value are left out.

    Each value carries the keys of its records, from the column `keys` (several are parted by spaces), so that what is
    computed from it can be traced to them.
    """
    keep = table[column].notna().to_numpy()
    for name, value in where.items():
        found = table[name].to_numpy()
        keep = keep & (abs(found - value) < 1e-9 if isinstance(value, float) else found == value)
    seeds, values = (table[name].to_numpy()[keep] for name in ("seed", column))
    records = table[keys].to_numpy()[keep] if keys in table else [""] * len(seeds)
    return {int(s): Traced(v, str(k).split()) for s, v, k in zip(seeds, values, records, strict=True)}


def interval(values: Mapping[int, float]) -> Interval:
    """t-interval over seeds."""
    return replace(t_interval(list(values.values())), seeds=tuple(sorted(values)))


def test_images(scale: Scale, dataset: str) -> int:
    """Test images that accuracies on `dataset` are measured on at `scale`."""
    from ebreplicate.training.datasets import INFO

    entry = scale.datasets[dataset]
    return entry.get("test_size") or INFO[entry["name"]].test


def _with(evidence: str, reason: str) -> Evidence:
    return (evidence if isinstance(evidence, Evidence) else Evidence(evidence)).and_also(reason)


def confounded(scale: Scale, verdict: str, evidence: str) -> tuple[str, str]:
    """Withhold a verdict on draw epochs where retrains are shorter than searches.

    A ticket inherits weights, so a late draw has had more training in total; only a retrain long enough to make that
    immaterial compares tickets.
    """
    if verdict == NOT_RUN or scale.retrain_recipe.epochs >= scale.recipe.epochs:
        return verdict, evidence
    reason = (
        f"{scale.retrain_recipe.epochs}-epoch retrains after a {scale.recipe.epochs}-epoch search: late tickets "
        "inherit more training, so this scale cannot judge it"
    )
    return INCONCLUSIVE, _with(evidence, reason)


def cautioned(scale: Scale, verdict: str, evidence: str) -> str:
    """Evidence on an early draw beside one still earlier, with what is to be borne in mind where retrains are short."""
    if verdict == NOT_RUN or scale.retrain_recipe.epochs >= scale.recipe.epochs:
        return evidence
    reason = (
        f"with {scale.retrain_recipe.epochs}-epoch retrains part of it may be the longer training that a later ticket "
        "inherits"
    )
    return _with(evidence, reason)


def ticket(search: Search, ratio: float, at: int | str) -> Ticket:
    """A slimming ticket."""
    return Ticket(search=search, ratio=ratio, at=at)


TITLES = {
    "vgg16": "VGG16",
    "preresnet101": "PreResNet101",
    "wideresnet22x2": "WRN-22-2",
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "mobilenet": "MobileNet-v1",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
}
TITLES |= {"lenet300": "LeNet-300-100", "conv2": "Conv-2", "conv4": "Conv-4", "conv6": "Conv-6", "mnist": "MNIST"}
TITLES |= {"vgg19": "VGG-19", "preresnet20": "PreResNet20 (for ResNet-18)"}


def title(scale: Scale, model: str, dataset: str) -> str:
    """Panel title: the paper's names, and what stands in for them where something does."""
    net, data = scale.models[model], scale.datasets[dataset]
    text = f"{TITLES[model]} on {TITLES[dataset]}"
    stand_ins = []
    if net != {"name": model}:
        width = net.get("width", 1)
        stand_ins.append(net["name"] + (f" at width {width:g}" if width != 1 else ""))
    if data != {"name": dataset}:
        size = f", {data['train_size']:,} images" if "train_size" in data else ""
        stand_ins.append(data["name"] + size)
    return text + (f"\n({'; '.join(stand_ins)})" if stand_ins else "")


def count(number: int, noun: str) -> str:
    """The number and its noun: "1 seed", "2 seeds"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


PANELS = tuple((dataset, model) for dataset in ("cifar10", "cifar100") for model in ("preresnet101", "vgg16"))
"""(dataset, model) of the paper's four panels, in its order."""


def panels(scale: Scale) -> list[tuple[str, str]]:
    """Those of `PANELS` that are run at `scale`."""
    return [(dataset, model) for dataset, model in PANELS if scale.runs_panel(model, dataset)]
