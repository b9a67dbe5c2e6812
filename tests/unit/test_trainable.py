"""Networks that torch trains wrongly on a CPU are refused; no scale has one."""

import pytest
import torch
from helpers import CPU, TINY, digits

from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.plan.scale import SCALES, load_scale
from ebreplicate.training.loop import check_trainable, fit


@pytest.mark.parametrize("width", [0.03, 0.0625])
def test_a_network_that_would_overwrite_memory_is_refused_before_it_trains(width):
    model = build("preresnet20", 10, width)
    with pytest.raises(UserError, match=r"^width: too narrow to train on a CPU \(layer2\.0\.downsample has 4 input"):
        fit(model, digits(), TINY, seed=0)
    check_trainable(model, torch.device("cuda"))


@pytest.mark.parametrize("name", SCALES)
def test_every_scale_can_be_trained(name):
    for model in load_scale(name).models.values():
        check_trainable(build(model["name"], 100, model.get("width", 1.0)), CPU)
