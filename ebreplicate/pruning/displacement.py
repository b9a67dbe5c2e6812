"""When EarlyCroP prunes: where the weights have stopped moving away from where they were.

Rachwan et al., "Winning the Lottery Ahead of Time" (ICML 2022). With d_t the distance of all parameters from a
reference, over the norm of the reference, after epoch t, a rule fires at the first epoch with |d_t - d_(t-1)| below a
threshold. Two rules, for a pruning ratio r:

* "crop-code", from the authors' released code (commit 6fb1176): the reference is the network after its first epoch, the
  threshold d_2 (1 - r) for masks over weights and d_2 min(1 - r - 0.1, 0.99) for masks over channels, so that epoch 3
  is the earliest and a ratio of 0.9 or more of the channels never fires;
* "crop", the paper's own as a comment in another group's re-implementation gives it: the reference is the untrained
  network, the threshold 1 - r. The paper's text could not be read.
"""

import torch
from torch import Tensor

from ebreplicate.catalog import DISPLACEMENT_DRAWS
from ebreplicate.errors import UserError, unknown
from ebreplicate.pruning.masks import check_ratio

COLUMNS = ("from_start", "from_first", "norm")
"""Of a row: distance of all parameters from the untrained network, from that after the first epoch, and their norm."""


class EarlyCroP:
    """Fires where the displacement from the reference grew by less than the threshold in the last epoch.

    Takes the rows of `COLUMNS` one epoch at a time, the untrained network first, like `EarlyBird`.
    """

    def __init__(self, rule: str, ratio: float, over_weights: bool = False):
        if rule not in DISPLACEMENT_DRAWS:
            raise unknown("rule", rule, DISPLACEMENT_DRAWS)
        self.rule, self.ratio = rule, check_ratio(ratio)
        left = 1 - ratio
        self.share = left if over_weights or rule == "crop" else min(left - 0.1, 0.99)
        self.reference = 1 if rule == "crop-code" else 0
        self.values: list[float] = []
        """d_t of every epoch from the reference's own on, which is 0."""
        self.epoch = -1
        self.first: int | None = None
        """Epochs after which the rule fired first, or None."""

    def update(self, row: Tensor) -> bool:
        """Take the row (3,) of one more epoch, see `COLUMNS`; True if the rule fires at it."""
        row = torch.as_tensor(row)
        if row.shape != (len(COLUMNS),):
            raise UserError(f"row: expected the three numbers {', '.join(COLUMNS)}, got shape {tuple(row.shape)}")
        self.epoch += 1
        if self.epoch < self.reference:
            return False
        if self.epoch == self.reference:
            self.norm = float(row[2])
        self.values.append(float(row[self.reference]) / self.norm if self.epoch > self.reference else 0.0)
        earlier = 2 if self.rule == "crop-code" else 1
        if len(self.values) <= earlier:
            return False
        scale = self.values[1] if self.rule == "crop-code" else 1.0
        fires = abs(self.values[-1] - self.values[-2]) < scale * self.share
        if fires and self.first is None:
            self.first = self.epoch
        return fires


def displacement_epoch(rows: Tensor, ratio: float, rule: str, over_weights: bool = False) -> int | None:
    """Epoch at which a rule fires in a finished search, or None.

    `rows`: (epochs + 1, 3), see `COLUMNS`. As of the mask distance, the state after the last epoch is not asked.
    """
    detector = EarlyCroP(rule, ratio, over_weights)
    for row in torch.as_tensor(rows)[:-1]:
        if detector.update(row):
            return detector.first
    return None


def growth(rows: Tensor, rule: str) -> list[float | None]:
    """|d_t - d_(t-1)| of every epoch t, over d_2 for the rule "crop-code"; None where it has no value.

    `rows`: (epochs + 1, 3). What a rule compares with `EarlyCroP.share`.
    """
    detector, found = EarlyCroP(rule, 0.5), list[float | None]()
    for row in torch.as_tensor(rows):
        detector.update(row)
        d = detector.values
        steps = max(len(d) - 1, 0)
        scale = d[1] if rule == "crop-code" and steps else 1.0
        found.append(abs(d[-1] - d[-2]) / scale if steps and scale else None)
    return found
