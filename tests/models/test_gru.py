"""The character language model: the same as torch's GRU, its state, its gradients, its FLOPs."""

import pytest
import torch
from torch import nn

from ebreplicate.catalog import SYMBOL
from ebreplicate.cost import forward_flops
from ebreplicate.cost.layers import layer_costs
from ebreplicate.errors import UserError
from ebreplicate.models import build

WIDTH = 1 / 16  # embedding 8, state 32, readout 16 and 8


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build("gru", 256, WIDTH, shape=SYMBOL)


def characters(streams, length):
    return torch.randint(0, 256, (streams, length), generator=torch.Generator().manual_seed(1))


def test_logits_are_those_of_torchs_gru_with_the_same_weights(model):
    other = nn.GRU(8, 32, batch_first=True)
    names = {"weight_ih_l0": model.input.weight, "weight_hh_l0": model.recurrent.weight}
    names |= {"bias_ih_l0": model.input.bias, "bias_hh_l0": model.recurrent.bias}
    other.load_state_dict(names)
    x = characters(3, 20)
    expected = model.output(model.readout(other(model.embedding(x))[0]))
    assert torch.allclose(model(x).view(3, 20, 256), expected, atol=1e-6)


def test_two_sequences_are_one_long_one_and_a_new_beginning_forgets(model):
    x = characters(2, 24)
    whole = model.eval()(x).view(2, 24, 256)
    model.eval()
    parts = torch.cat([model(x[:, :10]).view(2, 10, 256), model(x[:, 10:]).view(2, 14, 256)], 1)
    assert torch.allclose(whole, parts, atol=1e-6)
    again = model(x)
    assert not torch.allclose(again.view(2, 24, 256), whole, atol=1e-3)  # the state went on
    model.train()
    assert torch.allclose(model(x).view(2, 24, 256), whole, atol=1e-6)
    assert model(characters(1, 3)).shape == (3, 256)  # other streams begin from nothing


def test_the_state_carries_no_gradient_to_the_sequence_before(model):
    model(characters(2, 5))
    assert model.state is not None
    assert not model.state.requires_grad


def test_zero_weights_have_gradients_and_every_parameter_takes_part(model):
    with torch.no_grad():
        model.recurrent.weight[:, ::2] = 0
    model(characters(4, 6)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert (model.recurrent.weight.grad[:, ::2] != 0).float().mean() > 0.9


def test_flops_are_those_of_one_character(model):
    products = 8 * 96 + 32 * 96 + 32 * 16 + 16 * 8 + 8 * 256
    biases, relus = 96 + 96 + 16 + 8 + 256, 16 + 8
    found = forward_flops(model, SYMBOL)
    assert found["authors"] == 2 * products + biases + relus
    assert found["torch"] == 2 * products
    assert sum(cost.products for cost in layer_costs(model, SYMBOL).values()) == products


def test_it_rebuilds_and_takes_no_images_nor_surgery(model):
    again = build(**model.arguments)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    with pytest.raises(UserError, match="model: gru takes no images of 3x32x32"):
        build("gru", 10)
    with pytest.raises(UserError, match=r"model: vgg16 takes no images of 1x1x1.*those that do: gru"):
        build("vgg16", 256, shape=SYMBOL)
    with pytest.raises(UserError, match="gru has no channel surgery"):
        build("gru", 256, WIDTH, [1], SYMBOL)
