"""The filters that soft pruning has set to zero (He et al., IJCAI 2018): the draw of a search with `soft_ratio`."""

from torch import Tensor

from ebreplicate.errors import UserError
from ebreplicate.pruning.filters import filter_mask
from ebreplicate.pruning.methods.base import DrawContext


def soft(context: DrawContext) -> Tensor:
    """Keep the channels whose filter is not all zero; bool (N,).

    The fraction removed is the search's `soft_ratio` of each layer it prunes. Raises UserError for a search without
    soft pruning, after which no filter is zero.
    """
    if context.model is None:
        raise UserError("DrawContext.model: method 'soft' looks at weights; give it the dense network")
    mask = filter_mask(context.model)
    if mask.all():
        raise UserError("Ticket.method: 'soft' needs a search with soft_ratio; no filter of this one is zero")
    return mask
