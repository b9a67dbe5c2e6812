"""Factorised convolutions and ResNet-20: one convolution by the product, sizes by hand, the decomposition."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from ebreplicate.cost import forward_flops
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import weight_layers
from ebreplicate.models.factorised import FactorisedConv, factorise, factorised_layers
from ebreplicate.specs.spec import Factorised


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("cin", "cout", "rank", "kernel", "stride", "padding", "bias"),
    [(5, 7, 3, (3, 3), 1, 1, True), (4, 6, 2, (3, 5), 2, (1, 2), False), (3, 2, 6, (2, 4), (2, 1), (1, 0), True)],
)
def test_the_two_convolutions_are_one_by_the_product(cin, cout, rank, kernel, stride, padding, bias):
    torch.manual_seed(0)
    layer = FactorisedConv(nn.Conv2d(cin, cout, kernel, stride, padding, bias=bias), rank).double()
    x = torch.randn(2, cin, 9, 11, dtype=torch.float64)
    u, vt = layer.matrices()
    assert (u.shape, vt.shape) == ((cout * kernel[0], rank), (rank, cin * kernel[1]))
    for a, c, b, d in [(0, 0, 0, 0), (cout - 1, 1, cin - 1, 2), (1, kernel[0] - 1, 2, kernel[1] - 1)]:
        value = sum(u[a * kernel[0] + c, r] * vt[r, b * kernel[1] + d] for r in range(rank))
        assert layer.kernel()[a, b, c, d].item() == pytest.approx(value.item(), abs=1e-14)
    torch.testing.assert_close(layer(x), conv2d(x, layer.kernel(), layer.vertical.bias, stride, padding))


@pytest.mark.parametrize("cin", [2, 8, 16])
def test_narrow_strided_factors_are_trained_correctly_in_channels_last(cin):
    """torch 2.15 trains a narrow strided 1x1 convolution wrongly on a CPU (`models.common.NARROW`), and not these."""
    torch.manual_seed(0)
    layer = FactorisedConv(nn.Conv2d(cin, 16, 3, 2, 1, bias=False), 5).to(memory_format=torch.channels_last)
    exact = FactorisedConv(nn.Conv2d(cin, 16, 3, 2, 1, bias=False), 5).double()
    exact.load_state_dict(layer.state_dict())
    x = torch.randn(4, cin, 48, 48).contiguous(memory_format=torch.channels_last)
    for model, images in ((layer, x), (exact, x.double())):
        model(images).square().mean().backward()
    for ours, theirs in zip(layer.weights, exact.weights, strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 4, 12])
def test_spectral_initialisation_is_the_truncated_decomposition_in_equal_halves(rank):
    torch.manual_seed(0)
    dense = nn.Conv2d(4, 5, 3, padding=1, bias=False)
    layer = FactorisedConv(dense, rank)
    layer.decompose(dense.weight)
    matrix = torch.tensor(
        [[dense.weight.data[a, b, c, d] for b in range(4) for d in range(3)] for a in range(5) for c in range(3)]
    )
    # The best approximation of a rank in another way: by projection on eigenvectors of W W^T (Eckart and Young).
    values, vectors = torch.linalg.eigh(matrix @ matrix.T)
    best = vectors[:, -rank:] @ vectors[:, -rank:].T @ matrix
    u, vt = layer.matrices()
    torch.testing.assert_close(u @ vt, best, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(u.T @ u, vt @ vt.T, rtol=1e-4, atol=1e-5)
    assert u.square().sum().item() == pytest.approx(values.clamp(min=0).sqrt()[-rank:].sum().item(), rel=1e-4)
    if rank == 12:  # full
        torch.testing.assert_close(layer.kernel(), dense.weight.detach(), rtol=1e-4, atol=1e-5)
    layer.decompose(dense.weight, ones=True)
    assert torch.linalg.svdvals(layer.kernel().transpose(1, 2).reshape(15, 12))[:rank].tolist() == pytest.approx(
        [1.0] * rank, rel=1e-5
    )


def test_the_default_draws_both_factors_by_kaiming_as_matrices():
    torch.manual_seed(0)
    u, vt = FactorisedConv(nn.Conv2d(32, 64, 3, bias=False), 20).matrices()
    assert u.std().item() == pytest.approx(math.sqrt(2 / 20), rel=0.05)
    assert vt.std().item() == pytest.approx(math.sqrt(2 / 96), rel=0.05)


def test_resnet20_and_its_factorised_form_have_the_papers_parameters():
    model = build("resnet20", 10)
    assert count(model) == 269_722
    convolutions = {name: m for name, m in weight_layers(model).items() if isinstance(m, nn.Conv2d)}
    assert len(convolutions) == 19
    for name in ("conv1", "blocks.8.conv2"):
        weight = convolutions[name].weight
        assert weight.std().item() == pytest.approx(math.sqrt(2 / weight[0].numel()), rel=0.1)
    factorise(model, Factorised(0.111).rank)
    assert count(model) == 63_850
    assert len(factorised_layers(model)) == 18
    assert [layer.horizontal.out_channels for layer in factorised_layers(model)] == [5] * 6 + [11] * 6 + [21] * 6
    assert isinstance(model.conv1, nn.Conv2d)
    assert isinstance(model.fc, nn.Linear)
    assert count(factorise(build("resnet20", 10), Factorised(0.222).rank)) / 269_722 == pytest.approx(0.471, abs=5e-4)


def test_a_shortcut_passes_every_second_pixel_between_zeros():
    block = build("resnet20", 10, 0.25).blocks[3].eval()
    block.bn2.weight.data.zero_()
    x = torch.rand(1, 4, 6, 6)
    out = block(x)
    assert out.shape == (1, 8, 3, 3)
    assert out[:, 2:6].equal(x[:, :, ::2, ::2])
    assert not out[:, :2].any()
    assert not out[:, 6:].any()


def test_flops_of_a_factorised_network_are_those_of_both_convolutions():
    model = factorise(build("resnet20", 10, 0.5), Factorised(0.111).rank)
    macs, side, cin = 27 * 8 * 32**2, 32, 8
    for cout, rank, first in ((8, 3, 1), (16, 5, 2), (32, 11, 2)):
        for stride in (first, 1, 1, 1, 1, 1):
            side_out = side // stride
            macs += 3 * cin * rank * side * side_out + 3 * rank * cout * side_out**2
            side, cin = side_out, cout
    counted = forward_flops(model, (3, 32, 32))
    assert counted["torch"] == 2 * (macs + 320)
    assert counted["fvcore"] > macs  # which counts batch norms and the pool as well


def test_a_rank_beyond_a_matrix_and_a_network_without_wide_convolutions_are_refused():
    with pytest.raises(
        UserError, match=r"^Factorised\.rank_scale: gives blocks\.3\.conv1, a matrix of 96x48, the rank"
    ):
        factorise(build("resnet20", 10), Factorised(0.6).rank)
    with pytest.raises(UserError, match=r"^Search\.factorised: lenet300 has no convolution that can be factorised"):
        factorise(build("lenet300", 10, shape=(1, 28, 28)), Factorised(0.1).rank)


def test_ranks_are_rounded_shares_of_the_rows_and_at_least_one():
    assert [Factorised(0.111).rank(rows) for rows in (3, 24, 48, 96, 192)] == [1, 3, 5, 11, 21]
