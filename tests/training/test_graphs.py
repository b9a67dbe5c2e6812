"""The bookkeeping around a captured step, with a stand-in for the graph that computes anew into the captured memory."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers import CPU, images, random_network

from ebreplicate.catalog import SPARSIFIERS
from ebreplicate.errors import UserError
from ebreplicate.pruning.weights import weight_counts
from ebreplicate.specs.spec import Recipe, Sparse
from ebreplicate.training import graphs, lowprecision
from ebreplicate.training.loop import Trainer
from ebreplicate.training.masking import MaskWeights
from ebreplicate.training.soft import SoftFilters
from ebreplicate.training.taylor import Taylor


class StandIn:
    """Like a CUDA graph: a replay writes the loss and the gradients where the capture left them, and nowhere else."""

    def __init__(self, model, compute):
        self.model, self.compute = model, compute
        self.loss = compute().clone()
        self.gradients = [p.grad for p in model.parameters()]

    def replay(self):
        for p in self.model.parameters():
            p.grad = None
        self.loss.copy_(self.compute())
        for p, memory in zip(self.model.parameters(), self.gradients, strict=True):
            memory.copy_(p.grad)
            p.grad = memory


def captured(trainer, log, kind=StandIn):
    def capture(compute):
        stand_in = kind(trainer.model, compute)
        log.append(stand_in)
        return stand_in, stand_in.loss

    def warm_up(compute):
        for _ in range(3):
            compute()

    return graphs.Captured(trainer.forward_backward, trainer.model, capture, warm_up)


def trained(model, compute=None):
    """Losses of six steps on batches of which some are smaller, and the trained network."""
    trainer = Trainer(copy.deepcopy(model), Recipe(lr=0.05))
    if compute:
        trainer.compute = compute(trainer)
    losses = [trainer.step(images(n, seed=i), torch.arange(n) % 10).item() for i, n in enumerate((8, 8, 5, 8, 5, 8))]
    return losses, trainer.model.state_dict()


@pytest.mark.parametrize("name", ["vgg16", "preresnet20"])
def test_captured_steps_and_ones_of_another_shape_are_the_steps_without_a_graph(name):
    model, log = random_network(name, 0.125, seed=0).train(), []
    losses, weights = trained(model)
    same_losses, same_weights = trained(model, lambda trainer: captured(trainer, log))
    assert len(log) == 1
    assert same_losses == losses
    assert all(torch.equal(weights[k], v) for k, v in same_weights.items())


def hooked(model, hook, compute=None):
    """As `trained`, with a step hook; the weights after each step."""
    trainer = Trainer(copy.deepcopy(model), Recipe(lr=0.05), hooks=[hook], steps_per_epoch=3)
    if compute:
        trainer.compute = compute(trainer)
    for i, n in enumerate((8, 8, 5, 8, 5, 8)):
        trainer.step(images(n, seed=i), torch.arange(n) % 10, step=i)
    return trainer.model.state_dict()


SPARSE = Sparse("vgg16", "cifar10", width=0.125, sparsity=0.5, interval=2)
HOOKS = {
    "masks": lambda model: MaskWeights(torch.arange(sum(weight_counts(model))) % 3 > 0),
    "taylor": lambda _: Taylor(),
    "soft filters": lambda _: SoftFilters(0.3),
    **{m: lambda _, m=m: SPARSIFIERS.load(m)(replace(SPARSE, method=m)) for m in ("static", "rigl", "snfs", "set")},
}


@pytest.mark.parametrize("name", HOOKS)
def test_captured_steps_with_hooks_are_the_steps_without_a_graph(name, monkeypatch):
    model, log = random_network("vgg16", 0.125, seed=0).train(), []
    weights = hooked(model, HOOKS[name](model))
    same = hooked(model, HOOKS[name](model), lambda trainer: captured(trainer, log))
    assert len(log) == 1
    assert all(torch.equal(weights[k], v) for k, v in same.items())


def test_only_hooks_that_round_keep_a_step_from_being_captured(monkeypatch):
    monkeypatch.setattr(graphs, "wanted", lambda _: True)
    model = random_network("vgg16", 0.125, seed=0)
    kinds = {p: Trainer(model, Recipe(), p, lowprecision.hooks(p, seed=0)).compute for p in ("fp32", "bfp8")}
    assert isinstance(kinds["fp32"], graphs.Captured)
    assert not isinstance(kinds["bfp8"], graphs.Captured)
    assert isinstance(Trainer(model, Recipe(), hooks=[Taylor()]).compute, graphs.Captured)


def test_a_step_that_cannot_be_captured_is_told_once_and_runs_without():
    def refuse(_):
        raise RuntimeError("operation not permitted when stream is capturing\nDevice-side assertion tracking was off")

    model, tries = random_network("vgg16", 0.125, seed=0).train(), []
    losses, weights = trained(model)

    def compute(trainer):
        return graphs.Captured(trainer.forward_backward, trainer.model, refuse, lambda step: tries.append(step()))

    with pytest.warns(UserWarning, match="could not be captured") as told:
        same_losses, same_weights = trained(model, compute)
    assert len(told) == len(tries) == 1
    assert str(told[0].message).endswith("(operation not permitted when stream is capturing)")
    assert same_losses == losses
    assert all(torch.equal(weights[k], v) for k, v in same_weights.items())


class Stale(StandIn):
    """A graph that leaves the loss, but not the gradients."""

    def replay(self):
        kept = [memory.clone() for memory in self.gradients]
        super().replay()
        for memory, value in zip(self.gradients, kept, strict=True):
            memory.copy_(value)


class Lossless(StandIn):
    """A graph that leaves the gradients, but another loss."""

    def replay(self):
        super().replay()
        self.loss.mul_(1.1)


class NoNumber(StandIn):
    """A graph that leaves the gradients, but no loss."""

    def replay(self):
        super().replay()
        self.loss.fill_(torch.nan)


class Partial(StandIn):
    """A graph in which a parameter has no gradient."""

    def __init__(self, model, compute):
        super().__init__(model, compute)
        next(model.parameters()).grad = None


@pytest.mark.parametrize(
    ("kind", "said"),
    [(Stale, "off by 1 of"), (Lossless, "off by 0.1 of"), (NoNumber, "off by nan"), (Partial, "other parameters")],
)
def test_a_graph_that_replays_another_step_is_not_used(kind, said):
    model = random_network("vgg16", 0.125, seed=0).train()
    losses, weights = trained(model)
    with pytest.warns(UserWarning, match=said) as told:
        same_losses, same_weights = trained(model, lambda trainer: captured(trainer, [], kind))
    assert len(told) == 1
    assert same_losses == losses
    assert all(torch.equal(weights[k], v) for k, v in same_weights.items())


def test_graphs_are_for_gpus_unless_declined(monkeypatch):
    gpu = torch.device("cuda")
    assert graphs.wanted(gpu)
    assert not graphs.wanted(CPU)
    monkeypatch.setenv("EBREPLICATE_CUDA_GRAPH", "0")
    assert not graphs.wanted(gpu)
    monkeypatch.setenv("EBREPLICATE_CUDA_GRAPH", "yes")
    with pytest.raises(UserError, match="EBREPLICATE_CUDA_GRAPH"):
        graphs.wanted(CPU)
