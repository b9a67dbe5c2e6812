"""Energy of a training, modelled and measured: two columns that are never mixed. Published energy is a third.

Modelled: operations by format times published energies of one operation (Horowitz, ISSCC 2014, 45 nm;
published/energy_per_operation.csv), and bytes moved by format times that of DRAM. It says how formats and network
sizes compare on one imagined chip of that process; it predicts no device. docs/cost.md states the model.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

from ebreplicate import published
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import search_of
from ebreplicate.specs.spec import Retrain, Training

PICO = 1e-12
ARITHMETIC = {"fp32": (("fp32", "multiply"), ("fp32", "add")), "bfp8": (("int8", "multiply"), ("int32", "add"))}
ARITHMETIC |= {name: ((name, "multiply"), (name, "add")) for name in ("bf16", "fp8")}
"""What one multiply-add of a precision is made of. Block floating point multiplies 8-bit mantissas and accumulates in
32 bits; adding the shared exponents, one a block, counts nothing. tf32 is in no table, so its energy stays blank."""
BYTES = {"fp32": 4, "bf16": 2, "fp8": 1, "bfp8": 1}
ACTIVATION_MOVES = 5
"""Per image, layer and step: output written and read by the next layer, saved output read in the backward pass, its
gradient written and read."""
WEIGHT_MOVES = 8
"""Per weight and step: read forward, read backward, gradient written; in the update gradient and weight read, momentum
read and written, weight written."""


@dataclass(frozen=True)
class Work:
    """What one image costs forward: multiply-adds and other operations; outputs of convolutions and linear layers;
    and the weights of the network."""

    multiply_adds: float
    others: float
    activations: int
    weights: int


@cache
def picojoules(kind: str, operation: str) -> float:
    """Published energy of one operation in pJ; nan where none is printed or could be confirmed."""
    table = published.read("energy_per_operation")
    found = table[(table.format == kind) & (table.operation == operation)].value
    return float(found.iloc[0]) if len(found) else math.nan


def training_joules(work: Work, images: int, epochs: float, batch_size: int, precision: str = "fp32") -> float | None:
    """Modelled energy of a training, in J; None where an operation of `precision` has no published energy.

    Arithmetic: three forward passes an image (backward counted as two, as in the FLOPs); operations that are no
    multiply-add as fp32 additions. Traffic: ACTIVATION_MOVES an output and image, WEIGHT_MOVES a weight and step, all
    in DRAM, in the bytes of `precision`; batch norm, ReLU and pooling run where the convolution's output is made.
    """
    if precision not in ARITHMETIC:
        return None
    multiply_add = sum(picojoules(*part) for part in ARITHMETIC[precision])
    arithmetic = 3 * (work.multiply_adds * multiply_add + work.others * picojoules("fp32", "add"))
    byte = picojoules("dram", "access of 64 bit") / 8 * BYTES[precision]
    steps = math.ceil(images / batch_size)
    traffic = images * ACTIVATION_MOVES * work.activations + steps * WEIGHT_MOVES * work.weights
    joules = PICO * epochs * (images * arithmetic + traffic * byte)
    return joules if math.isfinite(joules) else None


@cache
def _elements(model: str, dataset: str, width: float, channels: tuple[int, ...] | None) -> tuple[int, int]:
    """Outputs of every convolution and linear layer for one image, and weights: from shapes, nothing is computed."""
    import torch

    from ebreplicate.catalog import INFO
    from ebreplicate.models import build

    info, outputs = INFO[dataset], 0
    shape = (info.channels, info.side, info.side)

    def count(_module: object, _inputs: object, out: torch.Tensor) -> None:
        nonlocal outputs
        outputs += out.numel()

    with torch.device("meta"):
        network = build(model, info.classes, width, list(channels) if channels else None, shape).eval()
        for module in network.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                module.register_forward_hook(count)
        network(torch.zeros(1, *shape))
    return outputs, sum(p.numel() for p in network.parameters())


def work_of(training: Training, forward: dict[str, float], channels: list[int] | None = None) -> Work:
    """Work of one image, from the forward FLOPs of a ledger and the channel configuration (None: dense)."""
    kept = tuple(channels) if channels else None
    activations, weights = _elements(training.model, training.dataset, training.width, kept)
    return Work(forward["torch"] / 2, forward["authors"] - forward["torch"], activations, weights)


class Records(Protocol):
    """Records of finished runs, as a `Store` reads them."""

    def read(self, spec: Spec) -> dict[str, Any] | None:
        """The record of a run; None where it has not finished."""


def modelled(spec: Spec, store: Records) -> float | None:
    """Modelled energy of a run in J, search included; None where it has not finished or a part has no energy.

    On dense hardware: a mask over weights saves nothing.
    """
    record = store.read(spec)
    if record is None or record["status"] != "ok" or "forward_flops" not in record["cost"]:
        return None
    if isinstance(spec, Training):
        return _from_scratch(spec, record)
    if not isinstance(spec, Retrain) or spec.ticket.after is not None:
        return None
    root, drawn, found = search_of(spec), store.read(spec.ticket), store.read(spec.ticket.search)
    if drawn is None or found is None:
        return None
    dense = found["cost"]["forward_flops"]
    forward = dense if spec.ticket.over_weights else drawn["cost"]["forward_flops"]
    small = work_of(root, forward, drawn["metrics"].get("channels"))
    epochs = searched_epochs(root, drawn, dense)
    parts = [
        training_joules(work_of(root, dense), root.train_images, epochs, root.recipe.batch_size, root.precision),
        training_joules(small, root.train_images, record["metrics"]["epochs"], spec.recipe.batch_size, spec.precision),
    ]
    known = [joules for joules in parts if joules is not None]
    return math.fsum(known) if len(known) == len(parts) else None


def _from_scratch(spec: Training, record: dict[str, Any]) -> float | None:
    """Of a search or sparse training; one of a narrower dense network is charged for that network."""
    width = record["metrics"].get("width", spec.width)
    forward = record["cost"]["forward_flops" if width == spec.width else "sparse_forward_flops"]
    work, epochs = work_of(replace(spec, width=width), forward), record["metrics"]["epochs"]
    return training_joules(work, spec.train_images, epochs, spec.recipe.batch_size, spec.precision)


def searched_epochs(root: Training, drawn: dict[str, Any], dense: dict[str, float]) -> float:
    """Epochs of search that a ticket is charged for, from its ledger."""
    searched: float = drawn["cost"]["search_flops"]["authors"]
    return searched / (3 * dense["authors"] * root.train_images)


def measured(spec: Spec, store: Records) -> tuple[float | None, str | None]:
    """Measured energy of a run in J and its source: a ticket's with its share of the search, both from the same kind
    of counter; None where either was not measured."""
    record = store.read(spec)
    if record is None or record["status"] != "ok":
        return None, None
    own, source = record["cost"].get("energy_j"), record["cost"].get("energy_source")
    if not isinstance(spec, Retrain) or own is None:
        return own, source
    drawn, found = store.read(spec.ticket), store.read(spec.ticket.search)
    if spec.ticket.after is not None or not drawn or not found or found["cost"].get("energy_source") != source:
        return None, None
    share = searched_epochs(search_of(spec), drawn, found["cost"]["forward_flops"]) / found["metrics"]["epochs"]
    return own + share * found["cost"]["energy_j"], source
