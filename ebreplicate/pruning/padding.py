"""Tickets computed at channel counts that hardware likes (Recipe.kernels "padded").

Libraries compute layers of 8, 16, 24 ... channels faster than layers of one channel fewer: vector registers and tensor
cores hold 8 or 16 numbers, and a ticket's layers have any number of channels. A padded ticket has silent channels
besides its own. Their weights are zero, and stay zero: a batch norm with scale and shift 0 answers 0, ReLU passes no
gradient at 0, and neither weight decay nor the L1 term moves a zero. So a padded ticket trains as the ticket does, but
for the order of sums.
"""

import copy

import torch
from torch import Tensor, nn

from ebreplicate.models import build
from ebreplicate.models.common import ChannelSelection, Network
from ebreplicate.pruning.surgery import batch_norms, bn_widths, shrink

INNER, STREAM, MOST = 8, 16, 0.75
"""Channels of a layer come in eights, those selected from a residual stream in sixteens (they pass through a batch norm
alone, which a CPU computes badly in odd eights); above this fraction of the stream, all of it is taken. Measured on an
AVX2 processor (docs/speed.md); tensor cores ask for eights."""


def _rounded(mask: Tensor, step: int) -> Tensor:
    """`mask` (C,) with further channels, the first that it drops, up to a multiple of `step` or to all of them."""
    missing = -int(mask.sum()) % step
    return mask | (~mask & (torch.cumsum(~mask, 0) <= missing))


def _layers(ticket: Network, dense: Network) -> list[tuple[Tensor, bool]]:
    """Of every batch norm, which channels of the dense one stand for the ticket's, bool (C,), and whether they are
    selected from a stream: then they are the selected ones; of others, the first."""
    found: list[tuple[Tensor, bool]] = []
    widths = iter(bn_widths(dense))
    for module in ticket.modules():
        if isinstance(module, nn.BatchNorm2d):
            found.append((torch.arange(next(widths)) < module.num_features, False))
        elif isinstance(module, ChannelSelection):  # registered after its batch norm
            own = torch.zeros(module.features, dtype=torch.bool)
            own[module.indexes.cpu()] = True
            found[-1] = (own, True)
    return found


def _wider(own: Tensor, selected: bool) -> Tensor:
    """The channels, bool (C,), that the padded ticket has for `own`."""
    more = _rounded(own, STREAM if selected else INNER)
    return torch.ones_like(own) if selected and more.float().mean().item() > MOST else more


def _places(dense: Network, mask: Tensor) -> dict[str, Tensor]:
    """For every tensor of the network that `mask` leaves, where its numbers lie in those of `dense`, in its shape."""
    numbered = copy.deepcopy(dense).double()
    for tensor in numbered.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
    small = shrink(numbered, mask)
    return {name: t.long() for name, t in small.state_dict().items() if t.is_floating_point()}


class Padding:
    """A ticket and its padded form: `padded` is the network to train, `trimmed` gives the ticket back."""

    def __init__(self, ticket: Network):
        dense = build(**ticket.arguments)
        layers = _layers(ticket, dense)
        mask = torch.cat([own for own, _ in layers])
        more = torch.cat([_wider(*layer) for layer in layers])
        self.ticket = ticket
        wide = _places(dense, more)
        self.places = {
            # Equal shapes are equal networks: a padded layer has all channels of the ticket's.
            name: ... if at.shape == wide[name].shape else torch.isin(wide[name], at).nonzero(as_tuple=True)
            for name, at in _places(dense, mask).items()
        }
        self.padded = shrink(dense, more).to(next(ticket.parameters())).train(ticket.training)
        self._fill(layers)

    @torch.no_grad()
    def _fill(self, layers: list[tuple[Tensor, bool]]) -> None:
        given = self.ticket.state_dict()
        for name, tensor in self.padded.state_dict().items():
            if name in self.places:
                own = tensor[self.places[name]]
                tensor.fill_(name.endswith("running_var"))
                tensor[self.places[name]] = given[name].reshape(own.shape)
        for bn, (own, selected) in zip(batch_norms(self.padded), layers, strict=True):
            if selected:  # dropped channels of the stream have scales of their own
                bn.weight.mul_(own.to(bn.weight.device))
                bn.bias.mul_(own.to(bn.bias.device))
        for module in self.padded.modules():
            if isinstance(module, ChannelSelection):
                module.first = True

    @torch.no_grad()
    def trimmed(self) -> Network:
        """The ticket, with what the padded network has learnt."""
        found = self.padded.state_dict()
        for name, tensor in self.ticket.state_dict().items():
            if name in self.places:
                tensor.copy_(found[name][self.places[name]].reshape(tensor.shape))
        return self.ticket
