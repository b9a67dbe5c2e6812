"""CroP: keep what the gradient flow depends on (Rachwan et al., "Winning the Lottery Ahead of Time", ICML 2022).

A reconstruction from the authors' released code (Early-Cropression-via-Gradient-Flow-Preservation, CroP.py and
CroPStructured.py, commit 6fb1176). With g the gradient of the loss with respect to every convolution and linear weight
and H its Hessian, removing a parameter theta_i changes the gradient flow g . g by -2 theta_i (H g)_i to first order.
CroP ranks by the absolute value of theta_i (H g)_i, GraSP (Wang et al., ICLR 2020) by the signed one. As in the code,
g is the sum of the gradients over `BATCHES` batches and is held constant, batch norms use their running statistics,
and the ranking is over all layers. Where this differs from the code: docs/early-crop.md.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.pruning.channels import batch_norms
from ebreplicate.pruning.masks import check_ratio
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.weights import apply_mask, prunable, split_weights, weight_counts

Batch = tuple[Tensor, Tensor]
"""Images, float (B, C, H, W), and labels, int64 (B,)."""
BATCHES, BATCH_SIZE = 5, 256
"""Batches that are looked at, as in the code, and their images (256: the README's batches on CIFAR-10)."""
PASSES = 12
"""Forward passes that scoring costs an image: 3 for its gradient, 3 for the gradient that is differentiated again, and
6 for that derivative, since the reverse pass of a computation costs twice as much as the computation."""
HALVINGS = 6
"""Steps of iterative pruning before the last one."""


def flow_gradient(
    model: nn.Module, batches: Sequence[Batch], parameters: Sequence[Tensor], keep: Tensor | None = None
) -> list[Tensor]:
    """Gradient of sum_b g . g_b with respect to `parameters`, in their shapes, with g = sum_b g_b held constant.

    g_b: gradient of the mean cross-entropy on a batch with respect to every convolution and linear weight; where `keep`
    (bool, (N,), N weights in forward order) is given, of the kept ones. With respect to those weights, it is n H g with
    H averaged over the n batches. In evaluation mode; leaves the model as it was found.
    """
    weights, training = prunable(model), model.training
    masks = (
        [torch.ones_like(w) for w in weights]
        if keep is None
        else [m.to(weights[0]) for m in split_weights(model, keep)]
    )
    model.eval()

    def gradients(x: Tensor, y: Tensor, differentiable: bool = False) -> list[Tensor]:
        loss = nn.functional.cross_entropy(model(x), y)
        found = torch.autograd.grad(loss, weights, create_graph=differentiable)
        return [g * m for g, m in zip(found, masks, strict=True)]

    with torch.enable_grad():
        flow = [torch.zeros_like(w) for w in weights]
        for x, y in batches:
            flow = [f + g for f, g in zip(flow, gradients(x, y), strict=True)]
        total = [torch.zeros_like(p) for p in parameters]
        for x, y in batches:
            product = torch.stack([(f * g).sum() for f, g in zip(flow, gradients(x, y, True), strict=True)]).sum()
            total = [t + d for t, d in zip(total, torch.autograd.grad(product, list(parameters)), strict=True)]
    model.train(training)
    return [t.detach() for t in total]


def _batches(context: DrawContext, split: str = "train") -> list[Batch]:
    if context.batches is None:
        raise UserError("DrawContext.batches: this method needs labelled images")
    return context.batches(split)


def channel_scores(model: nn.Module, batches: Sequence[Batch]) -> Tensor:
    """|d(g . g) / dc| of a factor c = 1 on the output of every batch-norm channel, halved: shape (N,), forward order.

    A factor on a channel scales its scale and shift together, so the derivative is gamma d/dgamma + beta d/dbeta.
    """
    norms = batch_norms(model)
    gammas, betas = [bn.weight for bn in norms], [bn.bias for bn in norms]
    found = flow_gradient(model, batches, [*gammas, *betas])
    both = zip(gammas, betas, found[: len(norms)], found[len(norms) :], strict=True)
    return torch.cat([(g.detach() * dg + b.detach() * db).abs() for g, b, dg, db in both])


def weight_scores(model: nn.Module, batches: Sequence[Batch], keep: Tensor | None = None) -> Tensor:
    """theta * (H g) of every convolution and linear weight, with its sign: shape (N,), forward order.

    `keep` (bool, (N,)): the remaining weights; the others must be zero in the model, and score zero.
    """
    weights = prunable(model)
    found = flow_gradient(model, batches, weights, keep)
    return torch.cat([(w.detach() * d).flatten() for w, d in zip(weights, found, strict=True)])


def sparsities(ratio: float) -> list[float]:
    """Fractions removed by the steps of iterative pruning: each goes half of the remaining way, the last all of it.

    From 0.5, or from 0.25 for a `ratio` of at most 0.5, as in the code; from half of a ratio of at most 0.25, where the
    code would begin beyond it.
    """
    check_ratio(ratio)
    first = 0.5 if ratio > 0.5 else 0.25 if ratio > 0.25 else ratio / 2
    return [ratio - (ratio - first) * 0.5**i for i in range(HALVINGS)] + [ratio]


def strongest(scores: Tensor, ratio: float) -> Tensor:
    """Keep all but the int(N * ratio) + 1 smallest scores: bool (N,), as many as `global_mask` keeps without ties.

    Of equal scores the first go. A channel that is silent on every image scores zero, and an untrained network can have
    more of those than the ratio removes: under a strict threshold they would all go, and networks of one ratio would
    differ in size.
    """
    keep = torch.ones(len(scores), dtype=torch.bool)
    keep[scores.argsort(stable=True)[: int(len(scores) * check_ratio(ratio)) + 1]] = False
    return keep


def crop(context: DrawContext) -> Tensor:
    """Keep the channels of largest score over all layers; bool (N,). One shot, as in the released code."""
    return strongest(channel_scores(context.dense(), _batches(context)), context.ratio)


def crop_leak(context: DrawContext) -> Tensor:
    """The same, scored on test images and their labels: what the released trainer does (ICML 2022). Bool (N,)."""
    return strongest(channel_scores(context.dense(), _batches(context, "test")), context.ratio)


def crop_weights(context: DrawContext) -> Tensor:
    """Keep the weights of largest |theta (H g)|, scored anew after each of `sparsities`, untrained; bool (N,)."""
    batches, model = _batches(context), copy.deepcopy(context.dense())
    keep = torch.ones(sum(weight_counts(model)), dtype=torch.bool)
    for sparsity in sparsities(context.ratio):
        scores = weight_scores(model, batches, keep).abs().masked_fill(~keep, -1.0)  # a dropped weight stays dropped
        keep = strongest(scores, sparsity)
        apply_mask(model, keep)
    return keep


def grasp_weights(context: DrawContext) -> Tensor:
    """Keep the weights of largest theta (H g), with its sign, in one shot (GraSP, ICLR 2020); bool (N,)."""
    return strongest(weight_scores(context.dense(), _batches(context)), context.ratio)
