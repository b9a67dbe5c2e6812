"""A compiled network trains as the uncompiled one does: traced and differentiated by torch's compiler, but run by
torch's own kernels ("aot_eager"), which takes seconds, and once by compiled ones."""

import copy
import shutil

import pytest
import torch
from helpers import images, random_network
from torch import nn

from ebreplicate.errors import UserError
from ebreplicate.pruning import shrink
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.compiling import Compiled, wanted
from ebreplicate.training.loop import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within torch 2.11's compiler


def halved(name):
    network = random_network(name, 0.25, seed=0)
    channels = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    return shrink(network, torch.arange(channels) % 2 == 0)


def trained(model, called=None, sizes=(8, 8, 5, 8)):
    """Losses of steps on batches of which one is smaller, and the trained network's tensors."""
    trainer = Trainer(copy.deepcopy(model).train(), Recipe(lr=0.05))
    trainer.model.to(memory_format=torch.channels_last)
    if called:
        trainer.called = called(trainer.model)
    losses = [trainer.step(images(n, seed=i), torch.arange(n) % 10).item() for i, n in enumerate(sizes)]
    return losses, trainer.model.state_dict()


NETWORKS = {
    "vgg16": lambda: random_network("vgg16", 0.125, seed=0),
    "ticket": lambda: halved("preresnet20"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ticket", "vgg16"])
def test_a_network_traces_whole_and_trains_as_uncompiled(name):
    model = NETWORKS[name]()
    losses, weights = trained(model)
    same_losses, same_weights = trained(model, lambda network: Compiled(network, backend="aot_eager"))
    assert same_losses == pytest.approx(losses, rel=1e-6)
    for key, tensor in weights.items():
        torch.testing.assert_close(same_weights[key], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++, which is not here")
def test_so_it_does_with_compiled_kernels(tmp_path, monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config, "compile_threads", 1)  # leaves no processes behind
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Flatten())
    model.append(nn.Linear(8 * 30 * 30, 10))
    losses, weights = trained(model)
    same_losses, same_weights = trained(model, Compiled)
    assert same_losses == pytest.approx(losses, rel=1e-5)
    for key, tensor in weights.items():
        torch.testing.assert_close(same_weights[key], tensor, rtol=1e-4, atol=1e-5)


def test_only_batches_of_the_first_shape_are_compiled():
    shapes = []

    def backend(graph, _):
        def run(*inputs):
            shapes.append(next(len(t) for t in inputs if t.ndim == 4 and t.shape[1] == 3))
            return graph(*inputs)

        return run

    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
    trained(network, lambda n: Compiled(n, backend=backend), sizes=(8, 5, 8, 3))
    assert shapes == [8, 8]


def test_what_cannot_be_compiled_is_told_with_the_fix():
    class Reads(nn.Module):
        def forward(self, x):
            return x * x.sum().item().__index__() if x.sum().item() > 0 else x

    with pytest.raises(
        UserError, match=r"^Recipe\.compiled: torch cannot compile this network here \(.+\); leave it out$"
    ):
        Compiled(Reads(), backend="aot_eager")(images(2))


def test_a_backend_that_fails_is_told_with_its_reason():
    def backend(graph, _):
        raise OSError("no C compiler was found\nmore about it")

    with pytest.raises(UserError, match=r"cannot compile this network here \(no C compiler was found\); leave it out$"):
        Compiled(random_network("conv2", 0.125, seed=0), backend=backend)(images(2))


@pytest.mark.parametrize(
    ("compiled", "precision", "device", "expected"),
    [
        (True, "bf16", "cuda", True),
        (True, "fp32", "cuda", True),
        (True, "bfp8", "cuda", False),
        (True, "fp32", "cpu", False),
        (False, "fp32", "cuda", False),
    ],
)
def test_it_is_for_gpus_that_were_asked(compiled, precision, device, expected):
    assert wanted(compiled, precision, torch.device(device)) is expected


def test_a_cpu_ignores_it():
    model = random_network("vgg16", 0.0625, seed=0)
    assert Trainer(model, Recipe(compiled=True)).called is model


def test_a_trainer_calls_the_compiled_network_where_that_is_wanted(monkeypatch):
    monkeypatch.setattr("ebreplicate.training.compiling.wanted", lambda *_: True)
    model = random_network("vgg16", 0.0625, seed=0)
    called = Trainer(model, Recipe(compiled=True)).called
    assert isinstance(called, Compiled)
    assert called.plain is model
