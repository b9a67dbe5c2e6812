"""Which images a network takes is known before anything is built or trained, for every network and every dataset."""

import pytest
import torch

from ebreplicate.catalog import INFO, MODELS, ON_TEXT
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.specs.spec import Search, from_json


@pytest.mark.parametrize("model", [name for name in MODELS if name not in ON_TEXT])
@pytest.mark.parametrize("side", [28, 32, 40, 63, 64])
def test_a_network_is_refused_exactly_where_it_cannot_compute(model, side):
    refused, failed = False, False
    try:
        network = build(model, 10, 1 / 16, shape=(3, side, side))
    except UserError:
        refused = True
        network = build(model, 10, 1 / 16)
    try:
        network.eval()(torch.zeros(1, 3, side, side))
    except RuntimeError:
        failed = True
    assert refused == failed


@pytest.mark.parametrize("dataset", {INFO[name].shape: name for name in INFO}.values())  # one of every shape
@pytest.mark.parametrize("model", list(MODELS))
def test_a_spec_can_be_made_exactly_of_what_can_be_built(model, dataset):
    def outcome(make):
        try:
            make()
        except UserError as e:
            return str(e)
        return None

    assert outcome(lambda: Search(model, dataset)) == outcome(
        lambda: build(model, 10, 1 / 16, shape=INFO[dataset].shape)
    )


def test_the_error_names_the_networks_that_take_such_images():
    text = '{"numerics":1,"stage":"search","spec":{"dataset":"folders","model":"vgg16"}}'
    with pytest.raises(UserError, match=r"model: vgg16 takes no images of 3x64x64 .*; those that do: preresnet20") as e:
        from_json(text)
    assert "vgg19" not in str(e.value)
    assert "resnet18" in str(e.value)
    with pytest.raises(UserError, match=r"of 1x28x28 .*; those that do: lenet300, conv2, conv4, conv6$"):
        Search("resnet50", "mnist")
