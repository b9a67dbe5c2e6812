"""The first screen: the claims that answer "do early-bird tickets replicate?", as a table, a sentence and a figure.

All three are made from the comparisons' claims (`compare.read_claims`), so that `verify` can make them again.
"""

import io
from typing import Any

from ebreplicate.experiments.common.experiment import ACCURACY, NOT_RUN, NOT_SUPPORTED, SUPPORTED
from ebreplicate.experiments.common.judgement import (
    BELOW_MARGIN,
    EXPLORATORY,
    NOT_SUPPORTED_ALONE,
    SUPPORTED_ALONE,
    beside_zero,
)
from ebreplicate.experiments.common.stats import ENOUGH
from ebreplicate.report.compare import effect_text, signed
from ebreplicate.report.markdown import markdown_table

CLAIMS = {
    "p2-early-as-good-as-final": "Early tickets are as good as final ones (VGG16)",
    "s6-second-network": "Early tickets are as good as final ones (PreResNet)",
    "p3-early-mask-as-good": "The early mask is as good as the final mask (VGG16)",
    "p4-eb-train-matches-dense": "EB Train matches dense training (VGG16)",
    "p5-eb-train-matches-slimming": "EB Train matches network slimming (VGG16)",
    "p6-masks-settle-before-decay": "Masks settle before the learning rate falls (VGG16)",
    "gebt-early-edges": "Graphs pruned early train as well as those pruned late",
    "gebt-joint-early": "Joint tickets (graph and weights): early ones are as good as late ones",
    "gebt-90-percent": "90 % of a GCN's weights can go, mask applied",
    "tickets-beat-reinit": "Winning tickets beat the same masks with random weights (LeNet)",
}
"""Claims by name, in the order they are shown, each with its short form."""
QUESTION = "Do early-bird tickets replicate?"
TITLE_CLAIM, SECOND_CLAIM = "p2-early-as-good-as-final", "s6-second-network"
"""Whether early tickets are as good as final ones: on VGG16, and on the second network."""
SECOND = {"paper": "PreResNet101"}
"""The second network by scale; elsewhere it is PreResNet20."""
PLAN = "early_bird"
"""Item of the analysis plan's claims."""
OTHERS = {
    "p1-draw-epoch-matters": "the draw epoch matters",
    "s1-early-matches-dense": "early tickets match dense training",
    "s2-channels-matter": "EB Train beats random channels",
    "s3-eb-train-matches-reinit": "EB Train matches its re-initialised ticket",
    "s4-eb-train-matches-weight-pruning": "EB Train matches weight pruning",
    "s5-large-rate-better-tickets": "a large learning rate gives better tickets",
}
"""The plan's claims that are no row of the table, by name, in words that go on a sentence."""
ANSWERS = {
    SUPPORTED: "yes",
    SUPPORTED_ALONE: "yes, before correction for several claims",
    NOT_SUPPORTED: "no",
    NOT_SUPPORTED_ALONE: "no, before correction for several claims",
}
OPEN = "it is not decided"
"""What the verdict of the title claim answers; any other verdict leaves it open."""
FAMILIES = (
    ("gebt", "graph tickets"),
    ("lottery_tickets", "lottery tickets"),
    ("rigl_mnist", "RigL on MNIST"),
    ("early_crop_mnist", "EarlyCroP on MNIST"),
    ("wann", "weight agnostic networks, at their authors' laptop settings"),
)
"""Items whose claims are counted in the second sentence, with what they are called there."""
READING = (
    "filled: mean over seeds and its 95 % confidence interval; small dots: seeds; hollow: the paper's printed numbers\n"
    "dashed: bound, which the whole interval must reach or exceed"
)
HEAD = ["claim", "scale", "effect (95 % CI)", "printed", "bound", "n", "verdict"]


def chosen(claims: Any) -> Any:
    """The claims of the first screen: a frame with a row for each of `CLAIMS`, from the largest scale that ran it."""
    import pandas as pd

    mine = claims[claims.name.isin(CLAIMS)]
    ran = mine[mine.verdict != NOT_RUN]
    once = pd.concat([ran, mine]).drop_duplicates("name")
    return once.sort_values("name", key=lambda names: names.map([*CLAIMS].index), ignore_index=True)


def effect_of(row: Any) -> str:
    """Effect and half-width of its interval, with the unit; a dash where nothing has an interval."""
    return "-" if row.verdict == NOT_RUN or row.n < ENOUGH else effect_text(row)


def table(claims: Any) -> str:
    """One row a claim of the first screen."""
    rows = []
    for row in chosen(claims).itertuples():
        ran = row.verdict != NOT_RUN
        bound = f"{row.bound:g}" if ran and row.bound == row.bound else "-"
        scale = row.scale if ran else "-"
        numbers = [effect_of(row), signed(row.printed), bound, str(row.n or "-")]
        rows.append([CLAIMS[row.name], scale, *numbers, f"**{row.verdict}**"])
    return markdown_table(HEAD, rows)


def _ended(claims: Any) -> dict[str, list[str]]:
    """Names of claims about accuracy by verdict: (not) supported after correction or alone, open, and exploratory."""
    words = (SUPPORTED, SUPPORTED_ALONE, NOT_SUPPORTED, NOT_SUPPORTED_ALONE, "open", EXPLORATORY)
    out: dict[str, list[str]] = {word: [] for word in words}
    for row in claims[claims.kind == ACCURACY].itertuples():
        word = row.verdict.partition(",")[0]
        out[word if word in out else "open"].append(row.name)
    return {word: names for word, names in out.items() if names}


def counted(claims: Any) -> str:
    """How many claims about accuracy ended with each verdict, in words."""
    return ", ".join(f"{len(names)} {word}" for word, names in _ended(claims).items())


def _plainly(network: str, row: Any) -> str:
    """A claim on early against final tickets as yes or no, with its effect."""
    where = "" if row.scale == "paper" else " (narrower, on part of CIFAR-10)"
    effect = f"early minus final tickets {effect_of(row)} (n = {row.n}), bound {row.bound:g} {row.unit}"
    said = f"on {network}{where} {ANSWERS.get(row.verdict.split(',')[0], OPEN)}: {effect}, **{row.verdict}**"
    remark = beside_zero(row.verdict, row.bound, row.difference, row.ci95_half)
    return said + (f" ({remark})" if remark else "")


def _answered(title: Any, second: Any) -> str:
    """Both claims on early against final tickets; and that the paper's own scale has not been run, if it has not."""
    said = _plainly("VGG16", title)
    if second is None or second.verdict == NOT_RUN:
        said += "; on a second network it has not been run"
    else:
        said += "; " + _plainly(SECOND.get(second.scale, "PreResNet20"), second)
    said = said[0].upper() + said[1:] + "."
    return said if title.scale == "paper" else said + " At that paper's own scale it has not been run."


def _listed(scale: str, claims: Any) -> str:
    """How the plan's further claims ended at the scale of the title claim, by name; those not run are counted."""
    here = claims[claims.scale == scale]
    ended, small = _ended(here), set(here.name[here.verdict.str.endswith(BELOW_MARGIN)])
    names = {name: said + " (by less than the margin)" * (name in small) for name, said in OTHERS.items()}
    told = [f"{word}: {', '.join(names[name] for name in found)}" for word, found in ended.items()]
    if missing := len(OTHERS) - sum(map(len, ended.values())):
        told.append(f"not run: {missing} of {len(OTHERS)}")
    return f"Further claims of the [analysis plan](docs/statistics.md) at scale {scale}: {'; '.join(told)}."


def answer(claims: Any) -> list[str]:
    """The title claim on convolutional networks in plain words, then a line for each group of claims judged besides."""
    found, ran = {row.name: row for row in chosen(claims).itertuples()}, claims[claims.verdict != NOT_RUN]
    title = found.get(TITLE_CLAIM)
    if title is None or title.verdict == NOT_RUN:
        told = [
            "On convolutional networks this is not decided yet: the rules and runs of twelve claims are fixed "
            "([statistics](docs/statistics.md)), and the runs are not finished."
        ]
    else:
        others = ran[(ran.item == PLAN) & ran.name.isin(OTHERS)]
        told = [_answered(title, found.get(SECOND_CLAIM)), _listed(title.scale, others)]
    families = [(name, ran[(ran.item == item) & (ran.scale == "paper")]) for item, name in FAMILIES]
    counts = "; ".join(f"{name} ({counted(claims)})" for name, claims in families if len(claims))
    return told + ([f"At the papers' own scale, claims judged so far: {counts}."] if counts else [])


def status(claims: Any) -> str:
    """The question of the title and its answer, as markdown: a paragraph, and a list of what else has been judged."""
    first, *others = answer(claims)
    return f"\n**Status.** {QUESTION} {first}\n\n" + "".join(f"* {line}\n" for line in others) + "\n" * bool(others)


def figure(claims: Any) -> bytes:
    """A forest plot of the claims with an interval in points of accuracy: effect, 95 % interval, and bound."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    rows = [r for r in chosen(claims).itertuples() if r.unit == "pp" and effect_of(r) != "-"]
    figure, axis = plt.subplots(figsize=(9.2, 0.9 + 0.42 * max(1, len(rows))))
    colours = {SUPPORTED: style.COLOURS[2], NOT_SUPPORTED: style.COLOURS[1]}
    for y, row in enumerate(reversed(rows)):
        colour = next((c for word, c in reversed(colours.items()) if row.verdict.startswith(word)), "0.35")
        seeds = [float(value) for value in str(row.by_seed).split()]
        axis.plot(seeds, [y - 0.16] * len(seeds), "o", color=colour, alpha=0.35, ms=3.5, mew=0)
        axis.errorbar(row.difference, y, xerr=row.ci95_half, fmt="o", color=colour, capsize=3)
        axis.plot(row.printed, y + 0.16, "o", mfc="none", color="0.2")  # nan is not drawn
        axis.plot([row.bound] * 2, [y - 0.3, y + 0.3], color="0.2", lw=1.2, ls="--")
        note = f"{row.verdict}, n = {row.n}, {row.scale}"
        axis.annotate(
            note, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize="x-small", color=colour
        )
    axis.set_yticks(range(len(rows)), [CLAIMS[r.name] for r in reversed(rows)], fontsize="small")
    axis.set_ylim(-0.6, max(1, len(rows)) - 0.4)
    axis.axvline(0, color="0.6", lw=0.8)
    axis.set_xlabel("difference in test accuracy (percentage points)", fontsize="small")
    quick = "; quick: a narrower network, part of CIFAR-10" if any(row.scale == "quick" for row in rows) else ""
    style.stamp(figure, READING + quick)
    if not rows:
        style.not_run(axis)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()
