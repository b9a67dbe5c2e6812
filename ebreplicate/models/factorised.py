"""Convolutions whose weight is a product of two thin matrices (Khodak et al., ICLR 2021; microsoft/fnl_paper, frob.py).

The kernel W (a, b, c, d) of a convolution from b to a channels is U V^T as a matrix with rows (a, c) and columns
(b, d): U is (a c, r), V^T is (r, b d), and r is its rank.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, weight_layers


class FactorisedConv(nn.Module):
    """A convolution of 1 x d into `rank` channels, then one of c x 1 out of them: that by the kernel of U V^T.

    Stride, padding and bias are those of `dense`. The factors are drawn separately, Kaiming normal as matrices: V^T
    with variance 2 / (b d), U with variance 2 / r.
    """

    def __init__(self, dense: nn.Conv2d, rank: int):
        super().__init__()
        (height, width), (down, right) = dense.kernel_size, dense.stride
        above, beside = (int(p) for p in dense.padding)
        self.horizontal = nn.Conv2d(dense.in_channels, rank, (1, width), (1, right), (0, beside), bias=False)
        self.vertical = nn.Conv2d(rank, dense.out_channels, (height, 1), (down, 1), (above, 0), bias=False)
        self.vertical.bias = dense.bias
        nn.init.normal_(self.horizontal.weight, 0.0, math.sqrt(2 / (dense.in_channels * width)))
        nn.init.normal_(self.vertical.weight, 0.0, math.sqrt(2 / rank))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, b, H, W) to what the dense convolution by `kernel` gives."""
        return self.vertical(self.horizontal(x))

    @property
    def weights(self) -> tuple[Tensor, Tensor]:
        """The parameters behind U and V^T: (a, r, c, 1) and (r, b, 1, d)."""
        return self.vertical.weight, self.horizontal.weight

    def matrices(self) -> tuple[Tensor, Tensor]:
        """U (a c, r) and V^T (r, b d), detached."""
        vertical, horizontal = (weight.detach() for weight in self.weights)
        return vertical.permute(0, 2, 3, 1).flatten(0, 2), horizontal.flatten(1)

    def shaped(self, u: Tensor, vt: Tensor) -> tuple[Tensor, Tensor]:
        """Matrices like U and V^T in the shapes of `weights`."""
        out, rank, height, _ = self.vertical.weight.shape
        return u.view(out, height, 1, rank).permute(0, 3, 1, 2), vt.view(self.horizontal.weight.shape)

    def kernel(self) -> Tensor:
        """The kernel (a, b, c, d) that the factors multiply out to, detached."""
        u, vt = self.matrices()
        (out, _, height, _), (_, cin, _, width) = (weight.shape for weight in self.weights)
        return (u @ vt).view(out, height, cin, width).transpose(1, 2)

    @torch.no_grad()
    def decompose(self, kernel: Tensor, ones: bool = False) -> None:
        """Spectral initialisation: the best approximation of this rank of a `kernel` (a, b, c, d), in equal halves.

        Of its singular values S, sqrt(S) goes into both factors. `ones`: each S is replaced by one.
        """
        rank = self.horizontal.out_channels
        matrix = kernel.transpose(1, 2).flatten(2).flatten(0, 1)
        p, s, qt = torch.linalg.svd(matrix.double(), full_matrices=False)
        root = (torch.ones_like(s) if ones else s)[:rank].sqrt()
        for weight, value in zip(self.weights, self.shaped(p[:, :rank] * root, root[:, None] * qt[:rank]), strict=True):
            weight.copy_(value)


def factorised_layers(model: nn.Module) -> list[FactorisedConv]:
    """The factorised convolutions of a network, in forward order."""
    return [m for m in model.modules() if isinstance(m, FactorisedConv)]


def factorise(model: Network, rank_of: Callable[[int], int], init: str = "kaiming") -> Network:
    """`model` with every convolution larger than 1x1 but its first replaced by a factorised one.

    `rank_of`: from the rows a c of a layer's matrix to its rank. `init`: "kaiming" draws the factors anew; "spectral"
    decomposes the weights that the layer has; "spectral-ones" does so with all singular values one. Raises UserError
    for a network without such a layer, and for a rank beyond the size of a layer's matrix.
    """
    layers = {n: m for n, m in weight_layers(model).items() if isinstance(m, nn.Conv2d)}
    wide = {n: m for n, m in [*layers.items()][1:] if max(m.kernel_size) > 1 and m.groups == 1}
    if not wide:
        raise UserError(f"Search.factorised: {model.arguments['name']} has no convolution that can be factorised")
    for name, dense in wide.items():
        size = (dense.out_channels * dense.kernel_size[0], dense.in_channels * dense.kernel_size[1])
        rank = rank_of(size[0])
        if rank > min(size):
            shape = "x".join(map(str, size))
            raise UserError(f"Factorised.rank_scale: gives {name}, a matrix of {shape}, the rank {rank}; lower it")
        layer = FactorisedConv(dense, rank)
        if init != "kaiming":
            layer.decompose(dense.weight, ones=init == "spectral-ones")
        model.set_submodule(name, layer)
    return model
