"""What the runs of a claim show, in numbers, and the sentence that is made of them. No torch."""

import math
from dataclasses import dataclass, replace

from ebreplicate.experiments.common.stats import ENOUGH, Interval


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim and the numbers it rests on.

    `n`: seeds. `difference`: what is judged, with its interval, in `unit`; None for counts and arithmetic, which say in
    `counted` what was counted. `bound`: what the difference is held against; `p`: against the bound, alone (nan: no
    interval). `what`: the two sides of the difference. `remarks`: what else a reader has to know. `records`: keys of
    the records that all this was computed from.
    """

    verdict: str
    n: int = 0
    difference: Interval | None = None
    bound: float = math.nan
    unit: str = "pp"
    p: float = math.nan
    what: str = ""
    counted: str = ""
    remarks: tuple[str, ...] = ()
    records: frozenset[str] = frozenset()

    @property
    def sentence(self) -> str:
        """The numbers and remarks in words; empty where nothing has run."""
        if not self.n:
            return ""
        first = self.counted
        if self.difference is not None:
            first = f"{self.what}: {effect(self.difference, self.unit, self.p)}"
        return "; ".join([first, *self.remarks])

    def but(self, remark: str, verdict: str = "") -> "Finding":
        """The same with a further remark, and another `verdict` if one is given."""
        return replace(self, verdict=verdict or self.verdict, remarks=(*self.remarks, remark))


def effect(i: Interval, unit: str, p: float = math.nan) -> str:
    """A difference in words: its mean, half-width and unit, and in brackets the seeds, series and p-value.

    For fewer than three seeds no half-width, and in place of the mean the values of the seeds where they are known.
    """
    over = f", over {i.series} series" if i.series > 1 else ""
    if i.n < ENOUGH or math.isnan(i.half):
        listed = ", ".join(f"{value:+.2f}" for value in i.values or (i.mean,))
        return f"{listed} {unit} ({i.n} seed{'s' * (i.n > 1)}, no interval{over})"
    tested = "" if math.isnan(p) else f"; p = {p:.3g}"
    return f"{i.mean:+.2f} +- {i.half:.2f} {unit} ({i.n} seeds{over}{tested})"
