"""FLOPs by hand and by two counters, and measurements that are None where nothing measures."""

import copy
import sys
import warnings

import pytest
import torch
from helpers import CPU, random_network
from torch import nn

from ebreplicate import cost
from ebreplicate.errors import UserError
from ebreplicate.models import build

SHAPE = (3, 32, 32)


def fvcore_by_operator(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore calls torch.jit, which newer torch deprecates
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(model.eval(), torch.zeros(1, *SHAPE))
        return analysis.unsupported_ops_warnings(False).by_operator()


@pytest.mark.parametrize("name", ["vgg16", "preresnet101"])
def test_torch_counts_twice_fvcores_convolutions_and_linears(name):
    model = build(name, 10)
    by_operator = fvcore_by_operator(model)
    assert cost.flops(model, SHAPE, "torch") == 2 * (by_operator["conv"] + by_operator["linear"])
    assert cost.flops(model, SHAPE, "fvcore") == sum(by_operator.values())


def test_the_authors_convention_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),  # 4 x 8 x 8 outputs of 27 multiply-adds
        nn.BatchNorm2d(4),  # 2 an element
        nn.ReLU(),  # 1 an element
        nn.MaxPool2d(2),  # 4 per output, 4 x 4 x 4 outputs
        nn.Conv2d(4, 2, 1, groups=2),  # 2 x 4 x 4 outputs of 2 multiply-adds and a bias
        nn.AvgPool2d((2, 1)),  # 2 per output, 2 x 2 x 4 outputs
        nn.Flatten(),
        nn.Linear(16, 5),  # 5 outputs of 16 multiply-adds and a bias
    )
    by_hand = 256 * 54 + 256 * 2 + 256 + 64 * 4 + 32 * (4 + 1) + 16 * 2 + 5 * (32 + 1)
    assert cost.flops(model, (3, 8, 8), "authors") == by_hand


def test_a_layer_whose_weight_is_parametrised_counts_as_the_layer():
    """It has modules inside, and was left out for that."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    nn.utils.parametrizations.weight_norm(model[0])
    assert cost.flops(model, (3, 8, 8)) == 2 * 256 * 27


@pytest.mark.parametrize(
    ("name", "gflops", "parameters"),
    # The audited count of ResNet50 has a bias in the downsamples, 1.5 MFLOPs that ours leaves out.
    [("resnet18", 3.6373, 11_689_512), ("resnet50", 8.2136, 25_557_032)],
)
def test_dense_imagenet_networks_have_the_audited_cost_and_torchvisions_size(name, gflops, parameters):
    model = build(name, 1000)
    assert cost.flops(model, (3, 224, 224), "authors") / 1e9 == pytest.approx(gflops, rel=2e-4)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("convention", cost.CONVENTIONS)
def test_counting_leaves_the_network_untouched(convention):
    model = random_network("preresnet20", 0.125, seed=0).train()
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    cost.flops(model, SHAPE, convention)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(m.training and not m._forward_hooks for m in model.modules())
    assert torch.get_rng_state().equal(generator)


def test_an_unknown_convention_is_refused():
    with pytest.raises(UserError, match=r"^convention: unknown name 'author'; did you mean 'authors'\?"):
        cost.flops(build("vgg16", 10, 0.0625), SHAPE, "author")


def test_forward_flops_holds_every_convention():
    model = build("vgg16", 10, 0.0625)
    assert cost.forward_flops(model, SHAPE) == {c: cost.flops(model, SHAPE, c) for c in cost.CONVENTIONS}


def test_training_flops_give_the_papers_totals():
    """Reference audit, section 8: dense ResNet18 costs 1259.13 P, VGG16 on CIFAR-100 302 units of 0.05 P."""
    assert cost.training_flops(3.64e9, 1_281_167, 90) / 1e15 == pytest.approx(1259.13, abs=0.005)
    assert cost.training_flops(0.63e9, 50_000, 160) / 5e13 == pytest.approx(302, abs=0.5)


@pytest.mark.parametrize(("channels", "millions"), [(4224, 0.1611), (7408, 0.3005)])
def test_detector_flops_are_the_authors_overhead(channels, millions):
    assert cost.detector_flops(channels, 1) / 1e6 == pytest.approx(millions, abs=5e-5)
    assert cost.detector_flops(channels, 7) == pytest.approx(7 * cost.detector_flops(channels, 1))


@pytest.fixture
def zones(tmp_path, monkeypatch):
    """A stand-in for the kernel's energy counters: give one number of microjoules per zone."""
    monkeypatch.setattr(cost, "Path", lambda _: tmp_path)

    def show(*microjoules):
        for i, value in enumerate(microjoules):
            (tmp_path / f"intel-rapl:{i}").mkdir(exist_ok=True)
            (tmp_path / f"intel-rapl:{i}" / "energy_uj").write_text(f"{value}\n")

    return show


def test_energy_is_what_all_counters_rose_by(zones):
    zones(1_000_000, 5_000_000)
    with cost.EnergyMeter(CPU) as meter:
        zones(3_500_000, 6_000_000)
    assert (meter.joules, meter.source) == (3.5, "rapl")


@pytest.mark.parametrize(("before", "after"), [((), ()), ((9,), (1,))], ids=["no counter", "wrapped around"])
def test_energy_is_none_without_a_reading(zones, before, after):
    zones(*before)
    with cost.Ledger(CPU) as ledger:
        zones(*after)
    measured = ledger.measured()
    assert (measured["energy_j"], measured["energy_source"]) == (None, None)


def test_energy_of_a_gpu_is_none_without_nvml(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it fails
    with cost.EnergyMeter(torch.device("cuda")) as meter:
        pass
    assert meter.joules is None


def test_the_ledger_measures_seconds_and_memory():
    with cost.Ledger(CPU) as ledger:
        sum(range(1000))
    measured = ledger.measured()
    assert 0 <= measured["seconds"] < 60
    assert measured["peak_memory_mb"] > 50  # torch alone takes more
