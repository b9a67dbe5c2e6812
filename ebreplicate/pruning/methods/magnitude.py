"""Masks over single weights: the largest magnitudes, as many weights at random, and those that are not zero.

Magnitude pruning as in The Lottery Ticket Hypothesis (Frankle & Carbin, ICLR 2019, section 1 and Figure 2): layer by
layer on networks that ask for it (LeNet, Conv-2/4/6), across all layers on the others, whose output layer is spared.
"""

import torch
from torch import Tensor

from ebreplicate.pruning.masks import check_ratio
from ebreplicate.pruning.methods.base import DrawContext
from ebreplicate.pruning.weights import layer_rates, magnitudes


def smallest(scores: Tensor, rate: float) -> Tensor:
    """True at the round(rate * n) smallest of `scores` (n,); of equal scores the first goes first."""
    chosen = torch.zeros(len(scores), dtype=torch.bool)
    chosen[scores.argsort(stable=True)[: round(rate * len(scores))]] = True
    return chosen


def drop(scores: Tensor, alive: Tensor, rate: float) -> Tensor:
    """`alive` without the fraction `rate` of it that scores least."""
    alive = alive.clone()
    alive[alive.nonzero().flatten()[smallest(scores[alive], rate)]] = False
    return alive


def magnitude(context: DrawContext) -> Tensor:
    """Keep all but the `ratio` smallest |w| of the weights that remain; bool (N,), N weights in forward order."""
    check_ratio(context.ratio)
    model = context.dense()
    scores = magnitudes(model)
    sizes = [len(s) for s in scores]
    alive = torch.ones(sum(sizes), dtype=torch.bool) if context.previous is None else context.previous
    rates = layer_rates(model, context.ratio)
    if rates is None:
        hidden = sum(sizes[:-1])
        return torch.cat([drop(torch.cat(scores[:-1]), alive[:hidden], context.ratio), alive[hidden:]])
    layers = zip(scores, alive.split(sizes), rates, strict=True)
    return torch.cat([drop(s, a, r) for s, a, r in layers])


def random_weights(context: DrawContext) -> Tensor:
    """Keep, in every layer, as many weights as `magnitude` keeps there, anywhere in the layer; bool (N,).

    Also where the previous round has pruned: the control of random sparsity (Frankle & Carbin, Figure 1).
    """
    generator = context.generator()
    sizes = [len(s) for s in magnitudes(context.dense())]
    pieces = magnitude(context).split(sizes)
    return torch.cat([piece[torch.randperm(len(piece), generator=generator)] for piece in pieces])


def nonzero(context: DrawContext) -> Tensor:
    """Keep the weights that are not zero; bool (N,): the ticket of a search that prunes (SuperTickets, ECCV 2022).

    `ratio` plays no part: the fraction removed is what the search has pruned.
    """
    return torch.cat(magnitudes(context.dense())) != 0
