"""Networks of one's own: the detector, masks and surgery, with torch and numpy alone."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.pruning import EarlyBird, bn_widths, global_mask, masked, prunable_scores, shrink

LIBRARY = """
import importlib.abc, sys

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if path is None and name.partition(".")[0] not in ALLOWED:
            raise ImportError(f"{name} is not torch, numpy or what they need")

import torch, numpy
ALLOWED = {name.partition(".")[0] for name in sys.modules} | set(sys.stdlib_module_names) | {"ebreplicate"}
assert not ALLOWED & {"torchvision", "pandas", "yaml", "snakemake", "scipy", "sklearn", "matplotlib", "fvcore"}
sys.meta_path.insert(0, Nothing())
import ebreplicate.pruning as library
for name in library.__all__:
    getattr(library, name)
import ebreplicate.pruning.graph_surgery
"""


class Branches(nn.Module):
    """A sum, a concatenation and, on request, a batch norm without a scale behind both."""

    def __init__(self, bare=False):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.left = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))
        self.bare = nn.BatchNorm2d(14, affine=False) if bare else nn.Identity()
        self.after = nn.Sequential(nn.Conv2d(14, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
        self.head = nn.Linear(5 * 6 * 6, 4)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([self.left(x), torch.relu(x + self.right(x))], 1)
        return self.head(self.after(self.bare(x)).flatten(1))


class Shuffled(nn.Module):
    """Multiplies a batch norm's channels with themselves in another order, which no graph of channels follows."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.bn(self.conv(x))
        return self.head(x * x[:, torch.arange(7, -1, -1)]).mean((2, 3))


def with_random_norms(model):
    generator = torch.Generator().manual_seed(0)
    for bn in model.modules():
        if isinstance(bn, nn.BatchNorm2d):
            if bn.affine:
                bn.weight.data = torch.rand(bn.weight.shape, generator=generator) + 0.1
                bn.bias.data = torch.randn(bn.bias.shape, generator=generator)
            bn.running_mean.normal_(generator=generator)
            bn.running_var.uniform_(0.5, 2, generator=generator)
    return model


def check(model, side, ratio=0.6):
    """The shrunk network computes what the masked one does, trained and not, and is smaller; it and what was kept."""
    pytest.importorskip("torch_pruning")
    torch.manual_seed(0)
    model, images = with_random_norms(model).eval(), torch.randn(4, 3, side, side)
    mask = global_mask(prunable_scores(model), ratio)
    before = [p.clone() for p in model.parameters()]
    small, silent = shrink(model, mask, images), masked(model, mask)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    for training in (False, True):
        expected, found = silent.train(training)(images), small.train(training)(images)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    small(images).sum().backward()
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    return small, mask


def test_a_network_with_branches_is_shrunk():
    small, mask = check(Branches(), 8)
    stem, left, right, after = mask.split([8, 6, 8, 5])
    stream = int((stem | right).sum())  # the sum is silent where both are
    assert bn_widths(small) == [stream, int(left.sum()), stream, int(after.sum())]
    assert small.head.in_features == 36 * int(after.sum())


def test_channels_that_something_normalises_anew_stay():
    model, mask = with_random_norms(Branches(bare=True)).eval(), torch.arange(27) % 2 == 0
    pytest.importorskip("torch_pruning")
    images = torch.randn(2, 3, 8, 8)
    small = shrink(model, mask, images)  # a constant zero is none any more behind the batch norm without a scale
    assert bn_widths(small) == [8, 6, 8, int(mask[22:].sum())]
    torch.testing.assert_close(small(images), masked(model, mask)(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_networks_of_torchvision_are_shrunk(name):
    models = pytest.importorskip("torchvision.models")
    check(getattr(models, name)(weights=None, num_classes=10, **({"dropout": 0.0} if "mobile" in name else {})), 32)


def test_networks_of_the_suite_without_surgery_of_their_own_are_shrunk_too():
    small, _ = check(build("wideresnet22x2", 10, 0.125), 16)
    assert type(small).__name__ == "WideResNet"


def test_an_emptied_layer_keeps_one_silent_channel():
    pytest.importorskip("torch_pruning")
    model, images = with_random_norms(Branches()).eval(), torch.randn(2, 3, 8, 8)
    mask = torch.ones(27, dtype=torch.bool)
    mask[8:14] = False
    small = shrink(model, mask, images)
    assert bn_widths(small) == [8, 1, 8, 5]
    torch.testing.assert_close(small(images), masked(model, mask)(images))


def test_a_network_whose_graph_cannot_be_followed_is_refused_with_what_to_do():
    pytest.importorskip("torch_pruning")
    mask = torch.tensor([True, False] * 4)
    with pytest.raises(UserError, match=r"^model: Shuffled.* train `masked\(model, mask\)` instead"):
        shrink(with_random_norms(Shuffled()), mask, torch.randn(2, 3, 8, 8))


def test_without_a_batch_or_without_torch_pruning_the_error_says_what_to_do(monkeypatch):
    model, mask = Branches(), torch.ones(27, dtype=torch.bool)
    with pytest.raises(UserError, match=r"^model: no channel surgery for Branches alone; give a batch of its inputs"):
        shrink(model, mask)
    with pytest.raises(UserError, match=r"^mask: expected bool of shape \(27,\)"):
        shrink(model, mask[:-1])
    monkeypatch.setitem(sys.modules, "torch_pruning", None)  # importing it fails
    with pytest.raises(UserError, match=r"needs Torch-Pruning, which is not installed \(pip install torch-pruning"):
        shrink(model, mask, torch.randn(2, 3, 8, 8))


def test_the_detector_takes_any_network_with_batch_norms():
    model, detector = with_random_norms(Branches()), EarlyBird(0.5)
    assert [detector.update(prunable_scores(model)) for _ in range(5)] == [False] * 4 + [True]  # nothing changes
    assert detector.first == 4
    with pytest.raises(UserError, match="scores: expected a non-empty vector"):
        EarlyBird(0.5).update(prunable_scores(nn.Linear(3, 3)))


@pytest.mark.slow
def test_the_library_needs_torch_and_numpy_only():
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
