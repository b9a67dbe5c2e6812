"""The search: dense training in which tickets are looked for."""

from pathlib import Path
from typing import Any

import torch

from ebreplicate import cost
from ebreplicate.pruning.channels import bn_widths
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.inputs import network, shape
from ebreplicate.stages.recorder import Recorder, usable
from ebreplicate.stages.training import Run, hooks_of
from ebreplicate.store.store import Store
from ebreplicate.training.factorised import FactorNorms, FrobeniusDecay
from ebreplicate.training.loop import StepHook
from ebreplicate.training.soft import SoftFilters


def search_hooks(spec: specs.Search) -> list[StepHook]:
    """Step hooks that change what the search computes."""
    soft = [SoftFilters(spec.soft_ratio)] if spec.soft_ratio else []
    frobenius = [FrobeniusDecay()] if spec.factorised and spec.factorised.decay == "frobenius" else []
    return [*hooks_of(spec.recipe, spec.precision, spec.seed), *soft, *frobenius]


def search(
    spec: specs.Search, store: Store, root: Path, device: torch.device, keep: Keep | None = None
) -> dict[str, Any]:
    """Train the dense network; save its scores at every epoch, and its weights where tickets will be drawn.

    `keep`: which weights, and whether Taylor scores and the displacement of weights. Returns the record.
    """
    keep, run = keep or Keep(), Run(spec, store, root, device)
    model = network(spec).to(device)
    resume = usable(run.checkpoint.load(), keep)
    recorder = Recorder(keep, run.folder / "weights", bn_widths(model), resume)
    forward = cost.forward_flops(model, shape(spec))
    norms = [FactorNorms()] if spec.factorised else []

    trained = run.train(
        model,
        spec.recipe,
        spec.seed,
        hooks=[*search_hooks(spec), *norms, *run.validating, *recorder.hooks],
        observers=recorder.observers,
        resume=resume,
        checkpoint=recorder.checkpoint(run.checkpoint),
    )

    recorder.finish(run.folder)
    metrics: dict[str, Any] = {"bn_channels": sum(bn_widths(model)), "bn_widths": bn_widths(model)}
    metrics |= norms[0].metrics() if norms else {}
    training = {c: cost.training_flops(f, spec.train_images, trained.epochs) for c, f in forward.items()}
    flops = {"precision": spec.precision, "forward_flops": forward, "training_flops": training}
    return run.save(trained, metrics, flops)
