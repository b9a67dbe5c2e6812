"""One-shot global channel pruning leaves the authors' networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ebreplicate.cost import flops
from ebreplicate.models import build
from ebreplicate.pruning import bn_widths, global_mask, prunable_scores, shrink
from ebreplicate.pruning.channels import batch_norms, kept_channels

DATA = Path(__file__).parent / "data"
GOLDEN = json.loads((DATA / "pruning.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: f"{g['model']}-{g['dataset']}-r{g['ratio']}")
def test_shrunk_network_is_the_authors(golden):
    model = build(golden["model"], {"cifar10": 10, "cifar100": 100}[golden["dataset"]])
    with np.load(DATA / "pruning.npz") as archive:
        gammas = torch.from_numpy(archive[f"gamma_{golden['case']}"])
    for bn, gamma in zip(batch_norms(model), gammas.split(bn_widths(model)), strict=True):
        bn.weight.data.copy_(gamma)

    mask = global_mask(prunable_scores(model), golden["ratio"])
    small = shrink(model, mask)

    assert kept_channels(model, mask) == golden["kept_channels_per_bn"]
    assert sum(p.numel() for p in small.parameters()) == golden["trainable_params"]
    assert flops(small, (3, 32, 32), "authors") == golden["flops_authors"]
