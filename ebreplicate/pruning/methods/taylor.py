"""Global threshold on the Taylor importance of channels (Molchanov et al., CVPR 2019, of batch norms).

The gradient importance of "When to Prune?" (Shen et al., CVPR 2022).
"""

from torch import Tensor

from ebreplicate.errors import UserError
from ebreplicate.pruning.masks import global_mask
from ebreplicate.pruning.methods.base import DrawContext


def taylor(context: DrawContext) -> Tensor:
    """Keep the channels whose Taylor score exceeds the global threshold; bool (N,).

    Raises UserError without Taylor scores.
    """
    if context.taylor is None:
        raise UserError("method: 'taylor' needs the Taylor scores of the draw epoch (DrawContext.taylor), got none")
    return global_mask(context.taylor, context.ratio)
