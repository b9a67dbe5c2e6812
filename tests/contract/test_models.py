"""What every registered network of images promises: one more in the registry is covered with no line here."""

import pytest
import torch
from torch import nn

from ebreplicate.catalog import MODELS, ON_TEXT, SHAPED
from ebreplicate.cost import flops
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.pruning import bn_widths, global_mask, prunable_scores, shrink
from ebreplicate.pruning.channels import batch_norms, kept_channels

CLASSES, WIDTH = 7, 0.0625
DENSE_ONLY = {"wideresnet22x2", "resnet20", "supernet", "mobilenet", "lenet300", "conv2", "conv4", "conv6"}
"""Without channel surgery."""


def side(name):
    return 64 if name.startswith("resnet") or name == "mobilenet" else 32


def shapes(model):
    return {key: tensor.shape for key, tensor in model.state_dict().items()}


def half_mask(model):
    return torch.rand(sum(bn_widths(model)), generator=torch.Generator().manual_seed(0)) < 0.5


@pytest.fixture(params=sorted(set(MODELS) - set(ON_TEXT)))
def name(request):
    return request.param


@pytest.fixture
def model(name):
    return build(name, CLASSES, WIDTH)


@pytest.fixture
def prunable(model, name):
    """The network, if channels can be cut out of it."""
    if name in DENSE_ONLY:
        with pytest.raises(UserError, match=f"channels: {name} has no channel surgery"):
            build(name, CLASSES, WIDTH, channels=bn_widths(model))
        pytest.skip("no channel surgery, and it says so")
    return model


def test_logits_have_one_column_per_class_and_reach_every_parameter(model, name):
    logits = model(torch.randn(2, 3, side(name), side(name)))
    assert logits.shape == (2, CLASSES)
    logits.square().sum().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []


def test_images_that_the_network_does_not_take_are_refused(name):
    if name in SHAPED:
        assert build(name, CLASSES, WIDTH, shape=(1, 16, 16))(torch.randn(2, 1, 16, 16)).shape == (2, CLASSES)
    else:
        with pytest.raises(UserError, match=f"model: {name} takes no images of 1x28x28"):
            build(name, CLASSES, WIDTH, shape=(1, 28, 28))


def test_arguments_rebuild_the_same_structure(model):
    assert shapes(build(**model.arguments)) == shapes(model)


def test_the_full_configuration_is_the_dense_network(prunable):
    full = build(**prunable.arguments, channels=bn_widths(prunable))
    assert shapes(full) == shapes(prunable)


def test_a_smaller_configuration_is_the_network_that_surgery_makes(prunable, name):
    model = prunable
    mask = half_mask(model)
    small = build(**model.arguments, channels=kept_channels(model, mask))
    assert shapes(small) == shapes(shrink(model, mask))
    assert small(torch.randn(2, 3, side(name), side(name))).shape == (2, CLASSES)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def test_a_configuration_that_does_not_fit_is_refused_by_name(prunable):
    name, full = prunable.arguments["name"], bn_widths(prunable)
    with pytest.raises(UserError, match=rf"channels: {name} has {len(full)} batch norms, .* {len(full) - 1} entries"):
        build(name, CLASSES, WIDTH, channels=full[1:])
    for wrong in (0, full[0] + 1):
        with pytest.raises(UserError, match=rf"channels\[0\]: must lie in 1..{full[0]} for {name}, got {wrong}"):
            build(name, CLASSES, WIDTH, channels=[wrong, *full[1:]])


def test_scores_are_the_batch_norm_scales_in_forward_order(model, name):
    called = []
    for bn in batch_norms(model):
        nn.init.normal_(bn.weight)
        bn.register_forward_hook(lambda module, *_: called.append(module))
    model(torch.randn(2, 3, side(name), side(name)))
    expected = [abs(g) for bn in called for g in bn.weight.tolist()]
    assert prunable_scores(model).tolist() == expected
    assert len(expected) == sum(bn_widths(model))
    assert not prunable_scores(model).requires_grad


def test_the_untrained_network_has_no_ticket(model):
    """Every scale starts at one value, so the strict threshold keeps nothing; without batch norms there is no score."""
    if not batch_norms(model):
        assert prunable_scores(model).shape == (0,)
        return
    assert not global_mask(prunable_scores(model), 0.5).any()


def test_weights_are_a_function_of_the_seed(name):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.detach().flatten() for p in build(name, CLASSES, WIDTH).parameters()])

    assert weights(1).equal(weights(1))
    assert not weights(1).equal(weights(2))


def test_flops_are_counted(model, name):
    shape = (3, side(name), side(name))
    assert flops(model, shape, "authors") > flops(model, shape, "torch") > 0
