"""What surgery keeps besides the logits, and what it refuses."""

import copy

import pytest
import torch
from helpers import images, random_network

from ebreplicate.errors import UserError
from ebreplicate.models.common import ChannelSelection, gathered, scattered
from ebreplicate.pruning import bn_widths, masked, shrink
from ebreplicate.pruning.channels import batch_norms, kept_channels, split_mask


def half_mask(model, seed=0):
    return torch.rand(sum(bn_widths(model)), generator=torch.Generator().manual_seed(seed)) < 0.5


NETWORKS = [("vgg16", 0.0625), ("preresnet20", 0.125), ("resnet18", 0.125), ("resnet50", 0.0625)]


@pytest.fixture(params=NETWORKS, ids=lambda p: p[0])
def dense(request):
    return random_network(*request.param, seed=0)


def test_shrinking_leaves_the_dense_network_as_it_was(dense):
    before = copy.deepcopy(dense.state_dict())
    shrink(dense, half_mask(dense))
    assert all(torch.equal(before[key], value) for key, value in dense.state_dict().items())


def test_frozen_parameters_stay_frozen(dense):
    for i, parameter in enumerate(dense.parameters()):
        parameter.requires_grad_(i % 2 == 0)
    before = {name: p.requires_grad for name, p in dense.named_parameters()}
    small = shrink(dense, half_mask(dense))
    assert {name: p.requires_grad for name, p in small.named_parameters()} == before


def test_keeping_everything_copies_everything(dense):
    small = shrink(dense, torch.ones(sum(bn_widths(dense)), dtype=torch.bool))
    assert all(torch.equal(a, b) for a, b in zip(small.state_dict().values(), dense.state_dict().values(), strict=True))


def test_masked_silences_exactly_the_dropped_channels(dense):
    mask = half_mask(dense)
    silenced = torch.cat([(bn.weight == 0) & (bn.bias == 0) for bn in batch_norms(masked(dense, mask))])
    assert silenced.equal(~mask)


def test_vgg_inherits_weights_and_statistics_of_the_kept_channels():
    dense = random_network("vgg16", 0.0625, seed=1)
    mask = half_mask(dense)
    first, second = (m.nonzero().flatten().tolist() for m in split_mask(dense, mask)[:2])
    small = shrink(dense, mask)
    conv, old_conv = small.features[3], dense.features[3]
    bn, old_bn = small.features[4], dense.features[4]
    for i, out in enumerate(second):
        for j, into in enumerate(first):
            assert conv.weight[i, j].equal(old_conv.weight[out, into])
        assert bn.running_var[i] == old_bn.running_var[out]
        assert bn.running_mean[i] == old_bn.running_mean[out]


def test_an_emptied_layer_becomes_one_silent_channel(dense):
    pieces = [torch.ones(w, dtype=torch.bool) for w in bn_widths(dense)]
    pieces[1][:] = False  # a layer whose width is pruned for real in both networks
    mask = torch.cat(pieces)
    assert kept_channels(dense, mask)[1] == 1
    silent = batch_norms(shrink(dense, mask))[1]
    assert (silent.num_features, silent.weight.item(), silent.bias.item()) == (1, 0.0, 0.0)


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "resnet50"])
def test_a_shrunk_network_can_be_shrunk_again(name):
    dense = random_network(name, 0.125, seed=0)
    once = shrink(dense, half_mask(dense)).eval()
    mask = half_mask(once, seed=5)
    torch.testing.assert_close(shrink(once, mask)(images(2)), masked(once, mask)(images(2)))


def test_a_shrunk_preresnet_is_not_shrunk_again():
    once = shrink(random_network("preresnet20", 0.125, seed=0), half_mask(random_network("preresnet20", 0.125, seed=0)))
    with pytest.raises(UserError, match="already shrunk"):
        shrink(once, half_mask(once))


@pytest.mark.parametrize(
    "spoil", [lambda m: m[1:], lambda m: m.float(), lambda m: m[None]], ids=["short", "float", "2-d"]
)
def test_a_mask_that_does_not_fit_is_refused(dense, spoil):
    with pytest.raises(UserError, match=rf"^mask: expected bool of shape \({sum(bn_widths(dense))},\), got "):
        shrink(dense, spoil(half_mask(dense)))


def test_channels_on_the_residual_stream_are_silenced_and_stay():
    dense = random_network("resnet50", 0.0625, seed=0)
    mask = half_mask(dense)
    small = shrink(dense, mask)
    pieces = split_mask(dense, mask)
    first = small.blocks[0]  # batch norms 1 to 3 in forward order, and its downsample's
    assert [bn.num_features for _, bn in first.layers] == [int(pieces[1].sum()), int(pieces[2].sum()), len(pieces[3])]
    for bn, keep in ((small.bn1, pieces[0]), (first.bn3, pieces[3]), (first.downsample[1], pieces[4])):
        assert (bn.weight != 0).equal(keep)


def test_a_bottleneck_inherits_the_kept_channels():
    dense = random_network("resnet50", 0.0625, seed=1)
    mask = half_mask(dense)
    first, second = (m.nonzero().flatten().tolist() for m in split_mask(dense, mask)[1:3])
    new, old = shrink(dense, mask).blocks[0], dense.blocks[0]
    for i, out in enumerate(second):
        assert new.bn2.running_var[i] == old.bn2.running_var[out]
        assert new.conv3.weight[:, i].equal(old.conv3.weight[:, out])
        for j, into in enumerate(first):
            assert new.conv2.weight[i, j].equal(old.conv2.weight[out, into])


def test_a_network_in_double_precision_stays_one_and_computes_the_same_to_its_last_digits(dense):
    dense, mask = dense.double().eval(), half_mask(dense)
    small = shrink(dense, mask)
    assert {p.dtype for p in small.parameters()} == {torch.float64}
    x = images(2).double()
    torch.testing.assert_close(small(x), masked(dense, mask)(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (2, 7, 1, 1), (1, 4, 3, 3)])
def test_channels_are_selected_in_the_layout_that_they_come_in(shape):
    kept = torch.tensor([0, 2, 3])
    select = ChannelSelection(shape[1], len(kept))
    select.indexes.copy_(kept)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        g = torch.Generator().manual_seed(0)
        x = torch.randn(shape, generator=g).contiguous(memory_format=layout).requires_grad_()
        weights = torch.randn(shape[0], len(kept), *shape[2:], generator=g)
        out = select(x)
        assert torch.equal(out, x[:, kept])
        (grad,) = torch.autograd.grad((out.relu_() * weights).sum(), x)
        assert all(t.is_contiguous(memory_format=layout) for t in (out, grad))
        found.append(grad)
    expected = torch.zeros(shape)
    expected[:, kept] = weights * (x[:, kept] > 0)
    assert torch.equal(found[0], expected)
    assert torch.equal(found[1], expected)


@pytest.mark.parametrize("kept", [[0, 2, 3], [4], [0], [0, 1, 2, 3, 4], [1, 4]])
def test_a_gradient_is_put_back_on_a_gpu_as_on_a_cpu(kept):
    pixels = torch.randn(6, len(kept), generator=torch.Generator().manual_seed(0))
    pixels[0, 0], pixels[1, 0] = torch.nan, torch.inf
    expected = torch.zeros(6, 5)
    expected[:, kept] = pixels
    for put_back in (gathered, scattered):
        assert torch.equal(put_back(pixels, torch.tensor(kept), 5).nan_to_num(7.0), expected.nan_to_num(7.0))
