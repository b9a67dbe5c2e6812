"""The search: dense training in which tickets are looked for."""

from pathlib import Path
from typing import Any

import torch

from ebreplicate import cost
from ebreplicate.pruning.channels import bn_widths
from ebreplicate.runner.hooks import search_hooks
from ebreplicate.runner.inputs import network, shape
from ebreplicate.runner.recorder import Recorder, usable
from ebreplicate.runner.run import Run
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.store.store import Store


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

    trained = run.train(
        model,
        spec.recipe,
        spec.seed,
        hooks=[*search_hooks(spec, run.data), *run.validating, *recorder.hooks],
        observers=recorder.observers,
        resume=resume,
        checkpoint=recorder.checkpoint(run.checkpoint),
    )

    recorder.finish(run.folder)
    training = {c: cost.training_flops(f, spec.train_images, trained.epochs) for c, f in forward.items()}
    return run.save(
        trained,
        {"bn_channels": sum(bn_widths(model)), "bn_widths": bn_widths(model)},
        {"precision": spec.precision, "forward_flops": forward, "training_flops": training},
    )
