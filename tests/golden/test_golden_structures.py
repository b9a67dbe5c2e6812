"""The dense networks have the authors' structure."""

import json
from pathlib import Path

import pytest

from ebreplicate.cost import flops
from ebreplicate.models import build
from ebreplicate.pruning.channels import bn_widths

GOLDEN = json.loads((Path(__file__).parent / "data" / "structures.json").read_text())


@pytest.mark.parametrize("name", GOLDEN)
def test_parameters_widths_and_flops_are_the_authors(name):
    network, dataset = name.split("/")
    golden = GOLDEN[name]
    model = build(network, {"cifar10": 10, "cifar100": 100}[dataset])

    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == golden["trainable_params"]
    assert bn_widths(model) == golden["bn_widths"]
    assert (len(bn_widths(model)), sum(bn_widths(model))) == (golden["bn_layers"], golden["bn_channels"])
    assert flops(model, (3, 32, 32), "authors") == golden["flops_authors"]
