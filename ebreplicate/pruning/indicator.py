"""The Early Pruning Indicator: prune when the architecture of the sub-network, not its mask, has settled.

Shen, Molchanov, Yin and Alvarez, "When to Prune? A Policy towards Early Structural Pruning", CVPR 2022 (EPI). The
paper's text could not be read here; two public readings of it could, and are what is followed:

* an implementation of "equations (4) to (6)": d_l = |n1_l - n2_l| / (n1_l + n2_l) per layer, Psi = 1 - mean over
  layers of d_l, EPI_t = mean over j = 1 ... r of Psi(N_t, N_{t-j}), thresholds 0.983 (magnitude) and 0.944 (gradient);
* a reading note of the rule: prune where EPI_t exceeds tau and EPI_{t-j} for every j in 1 ... 5, hence r = 5.

Documented choices, where the two say nothing or disagree: a layer emptied in both counts as equal (d = 0); ties pass
("at least", not "exceeds", or an architecture that stopped changing would never fire); the untrained network ranks no
channel, so sub-networks start at epoch 1; EPI_t is compared with as many of the r earlier values as exist. The first
epoch whose EPI reaches tau then always fires, since all values before it are lower: the second condition tells apart
later epochs only. Read as a demand for all r earlier values, it delays the first firing to epoch 2 r + 1 at the
earliest (`full`).
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor

from ebreplicate.errors import UserError
from ebreplicate.pruning.masks import check_ratio, check_rows, check_threshold, check_widths, epoch_masks, global_mask

WINDOW = 5
MAGNITUDE, GRADIENT = 0.983, 0.944


def threshold_of(method: str) -> float:
    """The indicator's threshold for tickets of `method`: importance by gradient has a lower one than by magnitude."""
    return GRADIENT if method == "taylor" else MAGNITUDE


def layer_counts(masks: Tensor, widths: list[int]) -> Tensor:
    """Kept channels per layer: bool masks (..., N) to float64 (..., L), `widths` being the L layers' channels.

    Raises UserError for widths of another network.
    """
    check_widths(widths, masks.shape[-1])
    return torch.stack([piece.sum(-1) for piece in masks.split(widths, dim=-1)], -1).double()


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Psi of two architectures, in [0, 1]: kept channels per layer (..., L) of each, to shape (...).

    1 where every layer keeps as many channels, 0 where every layer is emptied in exactly one of the two.
    """
    total = a + b
    apart = torch.where(total > 0, (a - b).abs() / total.clamp(min=1), 0.0)
    return 1 - apart.mean(-1)


def _epi(newest: Tensor, before: Tensor) -> float:
    """EPI of kept channels (L,) against those of earlier epochs (r, L); rounded, so that equal values compare equal."""
    return round(similarity(newest, before).mean().item(), 12)


def _check_window(window: int) -> int:
    if window < 1:
        raise UserError(f"window: needs at least 1 earlier sub-network to compare with, got {window}")
    return window


class EarlyPruning:
    """Fires where EPI reaches `threshold` and none of the last `window` values of EPI was higher.

    Takes scores one check at a time, like `EarlyBird`; the first check is the untrained network and is only counted.
    """

    def __init__(self, ratio: float, widths: list[int], threshold: float = MAGNITUDE, window: int = WINDOW):
        self.ratio, self.widths, self.threshold = check_ratio(ratio), widths, check_threshold(threshold)
        self.counts: deque[Tensor] = deque(maxlen=_check_window(window))
        self.values: deque[float] = deque(maxlen=window)
        self.checks = 0
        self.first: int | None = None
        """Index of the first check at which the indicator fired (= epochs trained by then), or None."""

    def update(self, scores: Tensor) -> bool:
        """Take the scores (N,), not negative, of one more check; True if the indicator fires at it.

        Raises UserError for scores that are no vector or of another network; the detector then stays as it was.
        """
        scores = torch.as_tensor(scores)
        counts = layer_counts(global_mask(scores, self.ratio), self.widths)
        check, self.checks = self.checks, self.checks + 1
        if check == 0:
            return False
        fires, finite = False, bool(scores.isfinite().all())  # else the network has diverged, and there is no ticket
        if len(self.counts) == self.counts.maxlen and finite:
            value = _epi(counts, torch.stack(list(self.counts)))
            fires = value >= max(self.threshold, *self.values, 0.0)
            self.values.append(value)
        self.counts.append(counts)
        if fires and self.first is None:
            self.first = check
        return fires


def indicator(scores: Tensor, ratio: float, widths: list[int], window: int = WINDOW) -> list[float | None]:
    """EPI after every epoch of a search: scores (epochs + 1, N), row 0 untrained, to one value or None per row.

    The first value is that of epoch window + 1, the first with `window` trained sub-networks before it. A network that
    has diverged, whose scores are not finite, has none.
    """
    scores = check_rows(scores)
    _check_window(window)
    counts, finite = layer_counts(epoch_masks(scores, ratio), widths), scores.isfinite().all(1).tolist()
    asked = [e > window and ok for e, ok in enumerate(finite)]
    return [_epi(counts[e], counts[e - window : e]) if ok else None for e, ok in enumerate(asked)]


def first_firing(
    values: Iterable[float | None], threshold: float = MAGNITUDE, window: int = WINDOW, full: bool = False
) -> int | None:
    """Epoch at which the rule fires on values of `indicator`, or None; `full`: not before `window` earlier values."""
    past: deque[float] = deque(maxlen=window)
    for epoch, value in enumerate(values):
        if value is None:
            continue
        if value >= max([threshold, *past]) and (len(past) == window or not full):
            return epoch
        past.append(value)
    return None


def epi_epoch(
    scores: Tensor, ratio: float, widths: list[int], threshold: float = MAGNITUDE, window: int = WINDOW
) -> int | None:
    """Epoch at which the indicator fires in a finished search, or None.

    `scores`: (epochs + 1, N). As of the mask distance, the state after the last epoch is not asked.
    """
    values = indicator(scores, ratio, widths, window)
    return first_firing(islice(values, len(values) - 1), threshold, window)
