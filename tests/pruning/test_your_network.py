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


class Chain(nn.Module):
    """Two convolutions with batch norms, `between` them, and a head behind `flat`, at 16 channels."""

    def __init__(self, between=None, flat=None, groups=1):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), between or nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, groups=groups), nn.BatchNorm2d(16), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(16, 16, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.flat, self.head = flat or nn.Identity(), nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.flat(self.third(self.second(self.first(x))).mean((2, 3))))


class Heads(Chain):
    """Several outputs, as segmentation networks give them; the second one `only_in_training`."""

    def __init__(self, only_in_training=False):
        super().__init__()
        self.extra, self.only_in_training = nn.Conv2d(16, 2, 1), only_in_training

    def forward(self, x):
        x = self.first(x)
        out = {"out": self.head(self.third(self.second(x)).mean((2, 3)))}
        return out if self.only_in_training and not self.training else out | {"extra": [self.extra(x)]}


class Tied(Chain):
    """One weight for two convolutions, each with a batch norm of its own."""

    def __init__(self):
        super().__init__()
        self.third[0] = nn.Conv2d(16, 16, 3)
        self.third[0].weight = self.second[0].weight


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
                if bn.bias is not None:
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


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({"between": nn.GroupNorm(4, 16)}, [0]),
        ({"between": nn.InstanceNorm2d(16, affine=True)}, [0]),
        ({"flat": nn.BatchNorm1d(16)}, [2]),
        ({"flat": nn.LayerNorm(16)}, [2]),
        ({"groups": 4}, [0, 1]),
    ],
    ids=str,
)
def test_channels_in_groups_or_normalised_by_another_layer_stay_and_the_rest_goes(options, layers):
    """These networks were refused as a whole. The shift of the instance norm is what makes something of zeros."""
    model = Chain(**options)
    for module in model.modules():
        if isinstance(module, (nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm, nn.BatchNorm1d)):
            nn.init.uniform_(module.bias, 1, 2)
    small, mask = check(model, 8)
    expected = [16 if i in layers else int(piece.sum()) for i, piece in enumerate(mask.split(16))]
    assert bn_widths(small) == expected


def test_a_network_with_several_outputs_is_shrunk_and_all_are_compared():
    pytest.importorskip("torch_pruning")
    model, images, mask = with_random_norms(Heads()).eval(), torch.randn(2, 3, 8, 8), torch.arange(48) % 3 == 0
    small, silent = shrink(model, mask, images), masked(model, mask)
    assert bn_widths(small) == [6, 5, 5]
    torch.testing.assert_close(small(images), silent(images))


def test_a_layer_that_only_training_uses_is_named():
    """Cut without it, the network would fail at its next step."""
    pytest.importorskip("torch_pruning")
    model, mask = with_random_norms(Heads(only_in_training=True)), torch.arange(48) % 2 == 0
    with pytest.raises(UserError, match=r"^model: layer extra takes no part in the output in evaluation mode"):
        shrink(model, mask, torch.randn(2, 3, 8, 8))


def test_layers_that_share_a_weight_are_named():
    """Surgery gives each a weight of its own, and training would then pull them apart in silence."""
    pytest.importorskip("torch_pruning")
    mask = torch.arange(48) % 2 == 0
    with pytest.raises(UserError, match=r"^model: second.0.weight and third.0.weight are one weight"):
        shrink(with_random_norms(Tied()), mask, torch.randn(2, 3, 8, 8))
    shrink(with_random_norms(Tied()), torch.ones(48, dtype=torch.bool), torch.randn(2, 3, 8, 8))  # nothing is cut


@pytest.mark.parametrize("frozen", [".", "1."], ids=["all", "batch norms"])
def test_frozen_parameters_stay_frozen(frozen):
    pytest.importorskip("torch_pruning")
    model = with_random_norms(Chain())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(frozen not in name)
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    small = shrink(model, torch.arange(48) % 2 == 0, torch.randn(2, 3, 8, 8))
    assert {name: p.requires_grad for name, p in small.named_parameters()} == before


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_surgery_works_where_gradients_are_off(mode):
    pytest.importorskip("torch_pruning")
    model, mask = with_random_norms(Chain()), torch.arange(48) % 2 == 0
    with mode():
        small = shrink(model, mask, torch.randn(2, 3, 8, 8))
    assert bn_widths(small) == [8, 8, 8]
    small(torch.randn(2, 3, 8, 8)).sum().backward()


def test_networks_of_16_bits_are_compared_in_single_precision():
    """ResNet-50 in bfloat16 was refused: its outputs round apart by half a percent, more than a difference may be."""
    pytest.importorskip("torch_pruning")
    seen = []
    model, images = with_random_norms(Chain()).eval().bfloat16(), torch.randn(2, 3, 8, 8, dtype=torch.bfloat16)
    model.head.register_forward_hook(lambda _module, _inputs, out: seen.append(out.dtype))
    small = shrink(model, torch.arange(48) % 2 == 0, images)
    assert seen[-2:] == [torch.float32] * 2
    assert {p.dtype for p in small.parameters()} == {torch.bfloat16}


def test_a_mask_that_keeps_nothing_is_refused():
    model = Chain()  # untrained: every scale is 1
    with pytest.raises(UserError, match=r"^mask: keeps no channel; scores that are all equal"):
        shrink(model, global_mask(prunable_scores(model), 0.5), torch.randn(2, 3, 8, 8))


def test_batch_norms_without_a_shift_are_masked():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, bias=False))
    silent = masked(model, torch.tensor([True, False, True, False]))
    assert silent[1].weight.tolist() == [1, 0, 1, 0]


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
    for other in (nn.Linear(3, 3), nn.BatchNorm1d(3), nn.SyncBatchNorm(3), nn.GroupNorm(1, 3)):
        with pytest.raises(UserError, match=r"^scores: expected a non-empty.*; of the layers, only nn\.BatchNorm2d"):
            EarlyBird(0.5).update(prunable_scores(other))


@pytest.mark.slow
def test_the_library_needs_torch_and_numpy_only():
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
