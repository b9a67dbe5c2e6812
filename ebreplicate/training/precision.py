"""Bits of every convolution, step by step, as a hook of the training loop: static, cyclic, progressive or learned."""

from typing import Any

import torch
from torch import Tensor, nn

from ebreplicate.cost.layers import layer_costs
from ebreplicate.errors import UserError
from ebreplicate.specs.bits import CYCLIC, LEARNED, PROGRESSIVE, Bits, cyclic_bits, operations, stage_of
from ebreplicate.specs.spec import Recipe
from ebreplicate.training import distributed
from ebreplicate.training.loop import Ended, Report, StepHook
from ebreplicate.training.quantiser import quantise_convolutions


def bitops(rows: Tensor, products: Tensor, images: int) -> dict[str, float]:
    """BitOPs of a training: in all, 3 x multiplications x images x bits x bits, and as a share of those at 32 bits, the
    measure of CPT and FracTrain. `rows` (epochs, 3, layers): `Precision.rows`; `products` (layers,): multiplications of
    an image's forward pass; `images`: an epoch's."""
    of_image = float((rows[:, 2].sum(0) * products).sum())
    share = of_image / len(rows) / float(products.sum()) / operations(32, 32)
    return {"training_bitops": 3 * images * of_image, "relative_bitops": share}


def products_of(model: nn.Module, shape: tuple[int, int, int]) -> Tensor:
    """Multiplications of an image of `shape` in every convolution: float64 (layers,)."""
    costs = layer_costs(model, shape)
    found = [costs[name].products for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    return torch.tensor(found, dtype=torch.float64)


class Precision(StepHook):
    """Quantises every convolution of a training (docs/learned-precision.md), which stays so for its evaluation.

    `shape`: of an image, for the multiplications of each layer. `rows`: for every epoch, float64 (3, layers): mean over
    its steps of the forward bits, of the backward bits, and of the bit operations a multiplication (`operations`).
    `positions`: of learned bits, the place of each layer between the fewest (0) and the most (1) bits.
    """

    precision = "sbm"

    def __init__(self, bits: Bits, seed: int, shape: tuple[int, int, int]):
        self.bits, self.seed, self.shape = bits, seed, shape
        self.rows: list[Tensor] = []
        self.stage = self.steps = 0

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        """Quantise the convolutions; learned bits become parameters, without weight decay. Raises UserError for a
        training in several processes."""
        if distributed.world() > 1:
            raise UserError("--processes: quantised training (Search.bits) takes one process; use 1")
        self.products, self.layers = products_of(model, self.shape), quantise_convolutions(model)
        self.total_steps = recipe.epochs * steps_per_epoch
        device = next(model.parameters()).device
        self.positions = torch.zeros(len(self.layers), device=device, requires_grad=self.bits.schedule == LEARNED)
        if self.bits.schedule == LEARNED:
            optimizer.add_param_group({"params": [self.positions], "weight_decay": 0.0})
        self.sums = torch.zeros(3, len(self.layers), dtype=torch.float64)

    def forward_bits(self, step: int) -> list[int]:
        """Bits of every layer's operands at a step."""
        low, high = self.bits.forward[0], self.bits.forward[-1]
        if self.bits.schedule == LEARNED:
            bits = (self.positions.detach() * (high - low) + low).round().clamp(low, high)
            return [int(b) for b in bits.nan_to_num(high).tolist()]  # in a diverged training, which goes on to its end
        if self.bits.schedule == CYCLIC:
            return [cyclic_bits(low, high, step, self.total_steps)] * len(self.layers)
        return [self.bits.forward[self.stage]] * len(self.layers)

    def begin_step(self, step: int) -> None:
        """Set the step's bits, and name its random numbers."""
        backward = self.bits.backward[self.stage]
        self.current = self.forward_bits(step)
        # What the layers see is the number of bits: its gradient passes through rounding and clamping.
        learned = self.positions * (self.bits.forward[-1] - self.bits.forward[0])
        for i, (layer, forward) in enumerate(zip(self.layers.values(), self.current, strict=True)):
            layer.forward_bits, layer.backward_bits, layer.noise = forward, backward, f"{self.seed} {step} {i}"
            layer.learned = learned[i] if learned.requires_grad else None
        spent = [operations(forward, backward) for forward in self.current]
        self.sums += torch.tensor([self.current, [backward] * len(spent), spent], dtype=torch.float64)
        self.steps += 1

    def cost_gradient(self) -> Tensor:
        """Gradient of the loss's cost term by `positions`: the training's BitOPs relative to those at the most bits."""
        high, backward = self.bits.forward[-1], self.bits.backward[0]
        slope = 2 * (torch.tensor(self.current, dtype=torch.float64) + backward) / 3
        slope *= self.products / self.products.sum() / operations(high, backward)
        return (self.bits.cost * (high - self.bits.forward[0]) * slope).to(self.positions)

    def before_step(self, step: int) -> bool:
        """Add the cost term's gradient."""
        if self.bits.cost and self.positions.grad is not None:
            self.positions.grad += self.cost_gradient()
        return True

    def after_epoch(self, history: list[dict[str, float]]) -> None:
        """Record the epoch's bits; choose the stage of the next."""
        self.rows.append(self.sums / self.steps)
        self.sums, self.steps = torch.zeros_like(self.sums), 0
        if self.bits.schedule == PROGRESSIVE:
            self.stage = stage_of([row["train_loss"] for row in history], len(self.bits.forward))

    def report(self, ended: Ended) -> Report:
        """The accuracy at the schedule's most bits, which the network keeps; BitOPs of the training; bits, (epochs, 3,
        layers)."""
        rows, most = torch.stack(self.rows), self.bits.forward[-1]
        accuracy = ended.accuracy
        if accuracy is not None and set(self.current) != {most}:
            for layer in self.layers.values():
                layer.forward_bits = most
            accuracy = ended.evaluate()
        return Report({"most_bits_accuracy": accuracy}, bitops(rows, self.products, ended.images), {"bits": rows})

    def state_dict(self) -> dict[str, Any]:
        """Bits recorded and in use, stage, learned positions, running extremes (layers, 2)."""
        extremes = torch.stack([layer.extremes for layer in self.layers.values() if layer.extremes is not None])
        bits = {"rows": torch.stack(self.rows), "stage": self.stage, "current": self.current}
        return bits | {"positions": self.positions.detach(), "extremes": extremes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of `state_dict`."""
        self.rows, self.stage, self.current = list(state["rows"]), state["stage"], state["current"]
        with torch.no_grad():
            self.positions.copy_(state["positions"])
        for layer, bits, extremes in zip(self.layers.values(), self.current, state["extremes"], strict=True):
            layer.forward_bits, layer.extremes = bits, extremes.to(self.positions)
