"""From scores to masks, and how far two masks are apart (network slimming, section 3; EB tickets, section 3)."""

import torch
from torch import Tensor

from ebreplicate.errors import UserError


def check_ratio(ratio: float) -> float:
    """Return `ratio`, the fraction of channels removed; raises UserError outside (0, 1)."""
    if not 0 < ratio < 1:
        raise UserError(f"ratio: must lie strictly between 0 and 1, got {ratio}")
    return ratio


def check_threshold(threshold: float) -> float:
    """Return `threshold`, a fraction; raises UserError outside [0, 1]."""
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold: is a fraction, must lie in [0, 1], got {threshold}")
    return threshold


def check_rows(scores: Tensor) -> Tensor:
    """Return `scores` of a finished search as a tensor (epochs + 1, N); raises UserError for another shape."""
    scores = torch.as_tensor(scores)
    if scores.ndim != 2 or not scores.shape[1]:
        raise UserError(f"scores: expected a row an epoch, (epochs + 1, N), got shape {tuple(scores.shape)}")
    return scores


def check_widths(widths: list[int], channels: int) -> None:
    """Raise UserError unless `widths`, the channels of every layer, are `channels` in all."""
    if sum(widths) != channels:
        raise UserError(
            f"widths: {sum(widths)} channels in all, where the scores have {channels}; take bn_widths of their network"
        )


def global_mask(scores: Tensor, ratio: float) -> Tensor:
    """Keep the channels whose score exceeds the network-wide threshold.

    `scores`: shape (N,). Returns a bool mask of shape (N,), True = kept. The threshold is the ascending-sorted score
    at index int(N * ratio) and the comparison is strict, as in the authors' code: without ties int(N * ratio) + 1
    channels go, and equal scores go together (all-equal initial scores keep nothing). Raises UserError
    for a ratio outside (0, 1) and for scores that are no vector.
    """
    check_ratio(ratio)
    scores = torch.as_tensor(scores)
    if scores.ndim != 1 or len(scores) == 0:
        none = "; of the layers, only nn.BatchNorm2d with a scale have scores" if scores.shape == (0,) else ""
        raise UserError(f"scores: expected a non-empty vector, got shape {tuple(scores.shape)}{none}")
    threshold = scores.sort().values[int(len(scores) * ratio)]
    return scores > threshold


def tied(scores: Tensor, ratio: float) -> int:
    """How many scores (N,) equal the threshold of `global_mask` beside the one that sets it; they are all dropped."""
    threshold = scores.sort().values[int(len(scores) * check_ratio(ratio))]
    return int((scores == threshold).sum()) - 1


def mask_distance(a: Tensor, b: Tensor) -> float:
    """Normalised Hamming distance of two masks, both (N,): the fraction of channels on which they differ, in [0, 1].

    Raises UserError for masks of different shapes.
    """
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    if a.shape != b.shape:
        raise UserError(f"mask: shapes differ, {tuple(a.shape)} and {tuple(b.shape)}")
    return torch.count_nonzero(a != b).item() / a.numel()


def epoch_masks(scores: Tensor, ratio: float) -> Tensor:
    """Masks of every epoch: `scores` (E, N) to bool (E, N); row e equals global_mask(scores[e], ratio)."""
    check_ratio(ratio)
    scores = check_rows(scores)
    threshold = scores.sort(dim=1).values[:, int(scores.shape[1] * ratio)]
    return scores > threshold[:, None]


def distance_matrix(masks: Tensor) -> Tensor:
    """Pairwise mask distances: bool masks (E, N) to float64 (E, E). One matrix product, since |a-b| = a + b - 2ab."""
    m = masks.to(torch.float32)  # counts up to 2**24 are exact in float32
    kept = m.sum(1)
    return (kept[:, None] + kept[None, :] - 2 * m @ m.T).double() / m.shape[1]


def rescue_empty_layers(mask: Tensor, scores: Tensor, widths: list[int]) -> tuple[Tensor, int]:
    """Keep the best-scored channel of every layer that `mask` empties; returns the new mask and how many it rescued.

    Needed by chain networks (VGG), which an emptied layer would cut. The authors' VGG code drops the layer instead
    and silently misaligns the rest (reference audit, section 9, bug 5). Raises UserError for widths of another network.
    """
    check_widths(widths, len(mask))
    check_widths(widths, len(scores))
    mask, rescued, start = mask.clone(), 0, 0
    for width in widths:
        layer = slice(start, start + width)
        if not mask[layer].any():
            mask[start + int(scores[layer].argmax())] = True
            rescued += 1
        start += width
    return mask, rescued
