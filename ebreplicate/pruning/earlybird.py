"""The Early-Bird detector (Algorithm 1) and the variants the detector study compares."""

from collections import deque
from itertools import pairwise

import torch
from torch import Tensor

from ebreplicate.errors import UserError, unknown
from ebreplicate.pruning.masks import check_ratio, check_rows, check_threshold, epoch_masks, global_mask, mask_distance


def _check_window(window: int) -> None:
    if window < 2:
        raise UserError(f"window: needs at least 2 masks to compare, got {window}")


class EarlyBird:
    """Fires when the newest of `window` masks lies within `threshold` of each older one in the queue.

    The authors' rule (main.py): a queue of 5 masks, hence 4 distances, all against the newest mask, all <= 0.1. It is
    asked before each epoch, so the first mask is that of the untrained network.
    """

    def __init__(self, ratio: float, window: int = 5, threshold: float = 0.1):
        self.ratio, self.threshold = check_ratio(ratio), check_threshold(threshold)
        _check_window(window)
        self.masks: deque[Tensor] = deque(maxlen=window)
        self.checks = 0
        self.first: int | None = None
        """Index of the first check at which the ticket had emerged (= epochs trained by then), or None."""

    def update(self, scores: Tensor) -> bool:
        """Take the scores (N,) of one more check; True if at this check the ticket has emerged.

        Signs are ignored, so raw batch-norm scales may be passed as well as |gamma|. Of scores that are not finite
        (a network that has diverged) no ticket emerges, however alike their masks are. Raises UserError for scores that
        are no vector, or of another number of channels than before; the detector then stays as it was.
        """
        scores = torch.as_tensor(scores).abs()
        mask = global_mask(scores, self.ratio)
        if self.masks and len(mask) != len(self.masks[-1]):
            raise UserError(
                f"scores: {len(mask)} channels, at the check before {len(self.masks[-1])}; give each network a detector"
            )
        self.masks.append(mask)
        check, self.checks = self.checks, self.checks + 1
        if len(self.masks) < (self.masks.maxlen or 0):
            return False
        newest = self.masks[-1]
        near = all(mask_distance(newest, old) <= self.threshold for old in list(self.masks)[:-1])
        emerged = near and bool(scores.isfinite().all())
        if emerged and self.first is None:
            self.first = check
        return emerged


RULES = ("authors", "consecutive", "no-init")


def emergence_epoch(
    scores: Tensor, ratio: float, rule: str = "authors", window: int = 5, threshold: float = 0.1
) -> int | None:
    """Epoch at which the ticket emerges in a finished search, or None.

    `scores`: (epochs + 1, N), row e after e trained epochs. Rules: "authors" (newest mask against each of the four
    older); "consecutive" (README wording: the last five distances between consecutive epochs); "no-init" (authors'
    rule without the mask of the untrained network). As in the authors' loop the state after the last epoch is not
    asked, so the result lies in 0..epochs - 1. Raises UserError for another rule, and for arguments out of range.
    """
    if rule not in RULES:
        raise unknown("rule", rule, RULES)
    _check_window(window)
    check_threshold(threshold)
    asked = check_rows(scores)[:-1].abs()
    if rule == "consecutive":
        masks = epoch_masks(asked, ratio)
        finite = asked.isfinite().all(1).tolist()
        near = [ok and mask_distance(a, b) <= threshold for ok, (a, b) in zip(finite[1:], pairwise(masks), strict=True)]
        hits = [e + 1 for e in range(window - 1, len(near)) if all(near[e - window + 1 : e + 1])]
        return hits[0] if hits else None
    skip = 1 if rule == "no-init" else 0
    detector = EarlyBird(ratio, window, threshold)
    for row in asked[skip:]:
        if detector.update(row):
            return detector.checks - 1 + skip
    return None
