"""Strided 1x1 convolutions of few channels, which torch trains wrongly on a CPU: computed another way, or refused."""

import glob
import os
import subprocess
import sys

import pytest
import torch
from helpers import CPU, TINY, digits
from torch import nn

from ebreplicate.catalog import MODELS, ON_TEXT
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import NARROW, StridedPointwise, conv
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.training.loop import check_trainable, fit

MALLOC_CHECKS = glob.glob("/lib*/*/libc_malloc_debug.so.0") + glob.glob("/lib*/libc_malloc_debug.so.0")
STEPS = """
import torch
from ebreplicate.models import build
torch.set_num_threads(1)
for name, side, batch in (("preresnet20", 64, 20), ("resnet18", 128, 4)):
    for width in (1 / 16, 1 / 8):
        model = build(name, 10, width).to(memory_format=torch.channels_last)
        for _ in range(2):
            x = torch.randn(batch, 3, side, side).to(memory_format=torch.channels_last)
            model(x).square().sum().backward()
"""


@pytest.mark.slow
@pytest.mark.skipif(not MALLOC_CHECKS, reason="needs glibc's libc_malloc_debug.so.0")
def test_narrow_networks_on_large_images_leave_the_heap_whole():
    checked = {"LD_PRELOAD": MALLOC_CHECKS[0], "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    done = subprocess.run([sys.executable, "-c", STEPS], env=os.environ | checked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cin", [1, 3, 8, 15])
@pytest.mark.parametrize("side", [7, 8])
def test_the_layer_computes_a_strided_convolution_and_its_gradients(cin, side):
    layer = conv(cin, 5, 1, 2)
    assert isinstance(layer, StridedPointwise)
    x = torch.randn(3, cin, side, side, dtype=torch.float64, requires_grad=True)
    weight = layer.weight.detach().double().requires_grad_()
    out = layer.double()(x)
    # By hand: every second pixel, channels mixed by the weight.
    expected = torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0], x[:, :, ::2, ::2])
    assert out.shape == (3, 5, (side + 1) // 2, (side + 1) // 2)
    torch.testing.assert_close(out, expected)
    upstream = torch.randn_like(out)
    ours = torch.autograd.grad(out, (x, layer.weight), upstream)
    torch.testing.assert_close(ours, torch.autograd.grad(expected, (x, weight), upstream))


def test_wide_layers_stay_torchs_own():
    assert type(conv(NARROW, 8, 1, 2)) is type(conv(8, 8, 1)) is type(conv(8, 8, 3, 2)) is nn.Conv2d


def test_a_network_that_would_overwrite_memory_is_refused_before_it_trains():
    model = nn.Sequential(nn.Conv2d(3, 15, 3), nn.Conv2d(15, 15, 1, 2), nn.Flatten(), nn.LazyLinear(10))
    with pytest.raises(UserError, match=r"^model: 1 is a 1x1 convolution of stride 2 with 15 input channels; below 16"):
        fit(model, digits(), TINY, seed=0)
    check_trainable(model, torch.device("cuda"))


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ON_TEXT])
def test_every_network_can_be_trained_at_any_width(name):
    for width in (0.03, 0.125, 0.25):
        check_trainable(build(name, 10, width), CPU)


@pytest.mark.parametrize("name", SCALES)
def test_every_scale_can_be_trained(name):
    for model in load_scale(name).models.values():
        check_trainable(build(model["name"], 100, model.get("width", 1.0)), CPU)
