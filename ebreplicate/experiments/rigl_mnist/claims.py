"""RigL's Table 2 beside ours, and the six claims that the protocol names (docs/rigl-mnist.md)."""

import math
from collections.abc import Iterator

import pandas as pd

from ebreplicate import published
from ebreplicate.experiments.common.contrasts import minus
from ebreplicate.experiments.common.experiment import ACCURACY, COST, INCONCLUSIVE, NOT_RUN, Cell, Claim
from ebreplicate.experiments.common.finding import Finding
from ebreplicate.experiments.common.margins import COUNT_MARGIN, MARGINS
from ebreplicate.experiments.common.rows import by_seed, interval
from ebreplicate.experiments.common.stats import Interval
from ebreplicate.experiments.common.verdicts import at_least, greater
from ebreplicate.experiments.rigl_mnist import costs
from ebreplicate.experiments.rigl_mnist.runs import DATASET, MODEL
from ebreplicate.pruning.sizes import products, size_bytes
from ebreplicate.specs.scale import Scale

PAPER = "RigL, appendix B, Table 2"
PRINTED = "RigL Table 2 (appendix B, MNIST)"
RIVALS = ("SBP", "L0", "VIB")
OURS = {"RigL": "rigl", "RigL+": "rigl-plus"}
MARGIN = MARGINS["mnist"]
END = "test_error_end_of_training"
"""Of the published table: the test error after the last step, in percent."""
FULL = (784, 300, 100, 10)
SPARSITIES: dict[str, tuple[tuple[int, ...], float]] = {"RigL": (FULL, 0.99), "RigL+": ((408, 100, 69, 10), 0.96)}
"""Network that is trained, and sparsity of its first layer; the second has 0.9 of it, the third none."""


def printed(method: str, metric: str) -> float:
    """A number of the paper's Table 2; nan where it prints none."""
    rows = published.read("rigl_paper_tables")
    found = rows[(rows.item == PRINTED) & (rows.method == method)]
    if metric == "sparsity":
        return float(found.prune_ratio.iloc[0])
    found = found[found.metric == metric]
    return float(found.value.iloc[0]) if len(found) else math.nan


def architecture(method: str) -> list[int]:
    """Pixels, hidden neurons and outputs of a network in the paper's Table 2."""
    rows = published.read("rigl_paper_tables")
    (model,) = set(rows[(rows.item == PRINTED) & (rows.method == method)].model)
    return [*map(int, model.rpartition(" ")[2].split("-")), 10]


def _exact(method: str, what: str, metric: str, value: float, unit: str, digit: float, note: str = "") -> Cell:
    source = f"{PAPER}: {method}"
    measured = Interval(value, math.nan, 1)
    name = f"{method}: {what}, by arithmetic"
    return Cell(name, printed(method, metric), measured, unit, source, "arithmetic", digit / 2, exact=True, note=note)


def arithmetic_cells() -> Iterator[Cell]:
    """Every cost in the table, from printed sizes and formulas: the same at every scale."""
    scratch = "train_flops_final_architecture_from_scratch"
    for method in RIVALS:
        sizes = architecture(method)
        layers = products(sizes)
        dense = costs.training_gflop(products(FULL))
        yield _exact(method, "training", "train_flops", dense, "GFLOP", 0.1, "of the dense network: a lower bound")
        yield _exact(method, "training from scratch", scratch, costs.training_gflop(layers), "GFLOP", 0.1)
        yield _exact(method, "inference", "inference_flops", costs.inference_kflop(sum(layers)), "kFLOP", 0.1)
        yield _exact(method, "size", "size", size_bytes(sizes, sum(layers)), "bytes", 1)
    for method, (trained, level) in SPARSITIES.items():
        layers = products(trained)
        kept = [(1 - level) * layers[0], (1 - 0.9 * level) * layers[1], layers[2]]
        nonzero = costs.nonzero_of(architecture(method), int(printed(method, "size")))
        note = "non-zero weights from the printed size"
        sparsity = 1 - nonzero / sum(products(architecture(method)))
        yield _exact(method, "training", "train_flops", costs.training_gflop(kept, layers), "GFLOP", 0.1)
        yield _exact(method, "inference", "inference_flops", costs.inference_kflop(nonzero), "kFLOP", 0.1, note)
        yield _exact(method, "sparsity", "sparsity", sparsity, "", 0.001, note)


def measured_cells(table: pd.DataFrame) -> Iterator[Cell]:
    """Errors and what is left of the network, beside RigL's and RigL+'s."""
    for method, arm in OURS.items():
        pixels, hidden1, hidden2, _ = architecture(method)
        last, best = printed(method, END), printed(method, "test_error")
        flops, size = printed(method, "inference_flops"), printed(method, "size")
        for column, what, value, unit, margin, digit in (
            ("last_error", "test error", last, "%", MARGIN, 0.01),
            ("best_error", "best test error", best, "%", MARGIN, 0.01),
            ("pixels", "live pixels", pixels, "", COUNT_MARGIN * pixels, 1),
            ("hidden1", "live neurons, layer 1", hidden1, "", COUNT_MARGIN * hidden1, 1),
            ("hidden2", "live neurons, layer 2", hidden2, "", COUNT_MARGIN * hidden2, 1),
            ("inference_kflop", "inference", flops, "kFLOP", COUNT_MARGIN * flops, 0.1),
            ("size_bytes", "size", size, "bytes", COUNT_MARGIN * size, 1),
        ):
            selection = "best epoch on test" if column == "best_error" else "last epoch"
            source = f"{PAPER}: {method}"
            yield Cell(
                f"{method}: {what}",
                value,
                interval(by_seed(table, column, arm=arm)),
                unit,
                source,
                selection,
                margin,
                note="one printed run",
                reading=digit / 2,
                model=MODEL,
                dataset=DATASET,
                method=method,
            )


def cells(scale: Scale, table: pd.DataFrame) -> list[Cell]:
    """All of Table 2."""
    return [*arithmetic_cells(), *measured_cells(table)]


def _paired(table: pd.DataFrame, first: tuple[str, str], second: tuple[str, str]) -> Interval:
    """First minus second, (arm, column) each, over the seeds that both have."""
    return interval(minus(*(by_seed(table, column, arm=arm) for arm, column in (first, second))))


def _below(table: pd.DataFrame, value: float, column: str) -> Interval:
    """A printed value minus RigL's."""
    return interval({seed: value - ours for seed, ours in by_seed(table, column, arm="rigl").items()})


def _careful(table: pd.DataFrame, found: Finding, *arms: str) -> Finding:
    """A verdict, withheld where a training of the claim diverged: a claim of the others alone would be selected."""
    diverged = int((table.arm.isin(arms) & (table.status == "diverged")).sum())
    if found.verdict == NOT_RUN or not diverged:
        return found
    return found.but(f"{diverged} of its trainings diverged", INCONCLUSIVE)


def _at_paper_scale(scale: Scale, found: Finding) -> Finding:
    """A verdict against a printed value, withheld where the task is another."""
    if scale.comparable or found.verdict == NOT_RUN:
        return found
    return found.but("not comparable at this scale", INCONCLUSIVE)


def claims(scale: Scale, table: pd.DataFrame) -> list[Claim]:
    """The six claims of the protocol."""
    last = "last_error"
    worst = min(printed(m, "test_error") for m in RIVALS)
    cheapest = min(printed(m, "inference_flops") for m in RIVALS)
    over = "difference within a seed, t-interval over seeds"

    def claim(
        name: str, statement: str, rule: str, found: Finding, kind: str = ACCURACY, theirs: float = math.nan
    ) -> Claim:
        return Claim(f"rigl-mnist-{name}", statement, PAPER, rule, found, kind, printed=theirs)

    def better(arm: str, what: str) -> Finding:
        difference = _paired(table, (arm, last), ("rigl", last))
        return _careful(table, greater(difference, f"error of {what} minus RigL"), arm, "rigl")

    matches = at_least(_below(table, worst, "best_error"), -MARGIN, f"{worst:g} % minus RigL's best error")
    cheaper = greater(_below(table, cheapest, "inference_kflop"), f"{cheapest:g} minus RigL", unit="kFLOP")
    plus = at_least(_paired(table, ("rigl", last), ("rigl-plus", last)), -MARGIN, "error of RigL minus RigL+")
    moved = _paired(table, ("rigl", "central_end"), ("rigl", "central_start"))
    return [
        claim(
            "beats-static",
            "At equal sparsity RigL is better than a random mask that never changes, on MNIST.",
            f"{over}; supported if above zero",
            better("static", "static"),
        ),
        claim(
            "beats-set",
            "At equal sparsity RigL is better than SET, on MNIST.",
            f"{over}; supported if above zero",
            better("set", "SET"),
        ),
        claim(
            "matches-rivals",
            "The network that RigL leaves is no worse than those that SBP, L0 and VIB find by structured pruning.",
            f"their printed best error minus our best; supported if its lower end exceeds -{MARGIN:g} pp",
            _at_paper_scale(scale, _careful(table, matches, "rigl")),
            theirs=worst - printed("RigL", "test_error"),
        ),
        claim(
            "cheaper-than-vib",
            "The network that RigL leaves needs fewer inference FLOPs than the cheapest of SBP, L0 and VIB.",
            "VIB's printed kFLOP minus ours (2 x non-zero weights without dead parts); supported if above zero",
            _at_paper_scale(scale, _careful(table, cheaper, "rigl")),
            COST,
            cheapest - printed("RigL", "inference_flops"),
        ),
        claim(
            "plus-no-worse",
            "Trained again from the pixels and neurons that RigL found, and sparser still (RigL+), a network is no "
            "worse.",
            f"{over}; supported if its lower end exceeds -{MARGIN:g} pp",
            _careful(table, plus, "rigl", "rigl-plus"),
            theirs=printed("RigL", END) - printed("RigL+", END),
        ),
        claim(
            "moves-to-centre",
            "RigL moves the connections of the first layer to the central pixels (20 x 20 of 28 x 28).",
            "percentage of connections there, end minus start, t-interval over seeds; supported if above zero",
            _careful(table, greater(moved, "end minus start", unit="pp"), "rigl"),
        ),
    ]
