"""Adaption: a search's network trained for another task, by masks over its frozen weights or by fine-tuning."""

from pathlib import Path
from typing import Any

import torch

from ebreplicate import cost
from ebreplicate.catalog import FINE_TUNING, NORMS
from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, weight_layers
from ebreplicate.models.masked import freeze, storage, zeros
from ebreplicate.runner.inputs import needed, network, shape
from ebreplicate.runner.rebuild import load_weights
from ebreplicate.runner.run import Run
from ebreplicate.specs import spec as specs
from ebreplicate.store.store import Store


def adapt(spec: specs.Adapt, store: Store, root: Path, device: torch.device) -> dict[str, Any]:
    """Train the network of `spec.backbone` for the spec's dataset; save accuracy, what the task stores, and its cost.

    Raises UserError where the backbone diverged.
    """
    run = Run(spec, store, root, device)
    model = start(spec, store, root, device)
    forward = cost.forward_flops(model, shape(spec))
    if spec.method != FINE_TUNING:
        freeze(model, spec.method)
    trained = run.train(model.to(device), spec.recipe, spec.seed, run.validating, run.checkpoint.load())
    return run.save(trained, storage(model, spec.method, zeros(model)), flops(spec, forward, trained.epochs))


def start(spec: specs.Adapt, store: Store, root: Path, device: torch.device) -> Network:
    """The network that an adaption starts from, on the CPU: weights of the search's last epoch, and a classifier of its
    own, drawn from the spec's seed."""
    searched = needed(spec.backbone, store)
    if searched["status"] != "ok":
        raise UserError(f"search {specs.key(spec.backbone)}: its status is {searched['status']}, so nothing adapts it")
    epoch = searched["metrics"]["epochs"]
    trained = load_weights(network(spec.backbone), spec.backbone, epoch, store, root, device).state_dict()
    model = network(spec)
    *_, classifier = weight_layers(model)
    own = {name: value for name, value in model.state_dict().items() if name.startswith(f"{classifier}.")}
    model.load_state_dict(trained | own)
    return model


def flops(spec: specs.Adapt, forward: dict[str, float], epochs: int) -> dict[str, Any]:
    """Cost of an adaption whose network takes `forward` FLOPs an image: three passes, as of any training; without
    gradients of weights, two. That of the search is not in it: all tasks share it."""
    passes = 2 if spec.method == NORMS else 3
    total = {c: f * passes * spec.train_images * epochs for c, f in forward.items()}
    return {"precision": spec.precision, "forward_flops": forward, "training_flops": total}
