"""The table to the figure: connections at every pixel (RigL's Figure 7), and error against inference FLOPs."""

import math
from typing import Any

from matplotlib.figure import Figure

from ebreplicate.catalog import INFO
from ebreplicate.experiments.common import style
from ebreplicate.experiments.common.panels import title
from ebreplicate.experiments.common.rows import by_seed, count, interval
from ebreplicate.experiments.rigl_mnist.claims import OURS, RIVALS, printed
from ebreplicate.experiments.rigl_mnist.runs import ARMS, DATASET, MODEL, grid_of
from ebreplicate.experiments.rigl_mnist.table import at_pixels
from ebreplicate.specs.scale import Scale

NAMES = {"rigl": "RigL", "rigl-plus": "RigL+", "set": "SET", "static": "static", "dense": "dense"}
COLOURS = dict(zip(ARMS, ("#D55E00", "#CC79A7", "#009E73", "#56B4E9", "0.3"), strict=True))
"""Okabe-Ito; RigL, SET and static as in the other figures of sparse training."""
MAPS = (("rigl", "start"), ("rigl", "end"), ("static", "end"), ("set", "end"))


def _mean_map(table: Any, arm: str, when: str, shape: tuple[int, int, int]) -> Any:
    """Connections at every pixel, mean over seeds, (height, width); None where nothing has been run."""
    import numpy as np

    rows = table[(table.arm == arm) & table[f"connections_{when}"].notna()]
    maps = [at_pixels([int(c) for c in text.split()], shape) for text in rows[f"connections_{when}"]]
    return np.mean(maps, axis=0) if maps else None


def _maps(axes: Any, table: Any, shape: tuple[int, int, int]) -> Any:
    """The four maps, on one scale of colours; returns an image for the colour bar, or None."""
    drawn = {where: _mean_map(table, *where, shape) for where in MAPS}
    top = max((m.max() for m in drawn.values() if m is not None), default=1.0)
    image = None
    for axis, (arm, when) in zip(axes, MAPS, strict=True):
        if drawn[arm, when] is None:
            axis.set_axis_off()
            continue
        axis.set_title(f"{NAMES[arm]}, {'start' if when == 'start' else 'end of training'}", fontsize="small")
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        image = axis.imshow(drawn[arm, when], cmap="viridis", vmin=0, vmax=top)
    return image


def _errors(axis: Any, legend: Any, scale: Scale, table: Any) -> None:
    """Test error against inference FLOPs: ours as dots, last epoch, and best; the paper's hollow."""
    for arm in ARMS:
        errors, cost = by_seed(table, "last_error", arm=arm), interval(by_seed(table, "inference_kflop", arm=arm))
        if errors and cost.n:
            look: dict[str, Any] = {"marker": "o", "ls": "", "c": COLOURS[arm], "label": f"{NAMES[arm]}, ours"}
            style.series(axis, [(cost.mean, errors.values())], **look)
            best = interval(by_seed(table, "best_error", arm=arm))
            axis.plot(cost.mean, best.mean, "_", c=COLOURS[arm], ms=9, mew=1.5)
    for marker, method in zip("^svoD", (*RIVALS, *OURS) if scale.comparable else (), strict=False):
        colour = COLOURS[OURS[method]] if method in OURS else "0.2"
        look = {"ls": "", "mfc": "white", "c": colour, "ms": 6}
        x, lowest = printed(method, "inference_flops"), printed(method, "test_error")
        axis.plot(x, lowest, marker=marker, **look, label=f"{method}, printed best")
        last = printed(method, "test_error_end_of_training")
        if not math.isnan(last):
            axis.plot([x, x], [lowest, last], c=colour, lw=0.8, ls=":")
            axis.plot(x, last, marker=marker, **(look | {"ms": 3}))
    axis.set_xscale("log")
    style.plain_log(axis.xaxis)
    axis.set(xlabel="inference FLOPs of one image (thousand)", ylabel="test error (%)")
    legend.axis("off")
    legend.legend(*axis.get_legend_handles_labels(), fontsize="small", loc="center")


def draw(scale: Scale, table: Any) -> Figure:
    """Above: first-layer connections at every pixel, mean over seeds; below: error against inference FLOPs."""
    plt = style.use()
    figure = plt.figure(figsize=(9.5, 6.4))
    spaces = figure.add_gridspec(2, 4, height_ratios=(1, 1.35))
    top = [figure.add_subplot(spaces[0, i]) for i in range(4)]
    image = _maps(top, table, INFO[scale.datasets[DATASET]["name"]].shape)
    if image is not None:
        figure.colorbar(image, ax=top, label="connections at a pixel", shrink=0.8)
    _errors(figure.add_subplot(spaces[1, :3]), figure.add_subplot(spaces[1, 3]), scale, table)
    figure.suptitle(title(scale, MODEL, DATASET), fontsize="medium")
    seeds = count(len(grid_of(scale).seeds), "seed") if grid_of(scale).seeds else "not run"
    ours = f"last epoch, {style.SEEDS}; dash: best epoch on the test set"
    theirs = "\nhollow: RigL's Table 2, one run each; large: best epoch, small: last" if scale.comparable else ""
    style.stamp(figure, f"scale {scale.name}, {seeds}; {ours}{theirs}")
    return figure
