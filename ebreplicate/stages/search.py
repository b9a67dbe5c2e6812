"""The search: dense training in which tickets are looked for."""

from pathlib import Path
from typing import Any

import torch

from ebreplicate import cost
from ebreplicate.data.arrays import ImageData
from ebreplicate.pruning.channels import bn_widths
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.inputs import network, shape
from ebreplicate.stages.record import save_array
from ebreplicate.stages.recorder import Recorder, usable
from ebreplicate.stages.training import Run, Trained, hooks_of
from ebreplicate.store.store import Store
from ebreplicate.training.factorised import FactorNorms, FrobeniusDecay
from ebreplicate.training.joint import SearchAndPrune
from ebreplicate.training.loop import StepHook, evaluate
from ebreplicate.training.precision import Precision
from ebreplicate.training.soft import SoftFilters
from ebreplicate.training.unseen import correct_images


def search_hooks(spec: specs.Search, data: ImageData) -> list[StepHook]:
    """Step hooks that change what the search computes, with the run's `data`."""
    soft = [SoftFilters(spec.soft_ratio)] if spec.soft_ratio else []
    frobenius = [FrobeniusDecay()] if spec.factorised and spec.factorised.decay == "frobenius" else []
    bits = [Precision(spec.bits, spec.seed, shape(spec))] if spec.bits else []
    joint: list[StepHook] = []
    if spec.joint:
        batches = data.batches(spec.recipe.batch_size, spec.recipe.augment, spec.seed)
        joint = [SearchAndPrune(spec.joint, spec.seed, shape(spec), batches)]
    return [*hooks_of(spec.recipe, spec.precision, spec.seed), *soft, *frobenius, *bits, *joint]


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
    forward, hooks = cost.forward_flops(model, shape(spec)), search_hooks(spec, run.data)
    norms = [FactorNorms()] if spec.factorised else []

    trained = run.train(
        model,
        spec.recipe,
        spec.seed,
        hooks=[*hooks, *norms, *run.validating, *recorder.hooks],
        observers=recorder.observers,
        resume=resume,
        checkpoint=recorder.checkpoint(run.checkpoint),
    )

    recorder.finish(run.folder)
    metrics: dict[str, Any] = {"bn_channels": sum(bn_widths(model)), "bn_widths": bn_widths(model)}
    metrics |= norms[0].metrics() if norms else {}
    training = {c: cost.training_flops(f, spec.train_images, trained.epochs) for c, f in forward.items()}
    flops: dict[str, Any] = {"precision": spec.precision, "forward_flops": forward, "training_flops": training}
    for hook in hooks:
        if isinstance(hook, Precision):
            save_array(run.folder / "bits.npy", torch.stack(hook.rows).numpy())
            metrics |= {"most_bits_accuracy": _accuracy_at_most_bits(hook, run, trained)}
            flops |= hook.cost(spec.train_images)
        elif isinstance(hook, SearchAndPrune):
            metrics |= hook.metrics()
    return run.save(trained, metrics, flops)


def _accuracy_at_most_bits(hook: Precision, run: Run, trained: Trained) -> float | None:
    """Accuracy after the last epoch at the schedule's most bits, in percent, on the unseen images where the spec asks
    for them, else on the test images; None of a training that diverged."""
    if trained.status != "ok":
        return None
    if hook.at_most_bits():
        known: float = trained.metrics.get("unseen_accuracy", trained.metrics["last_accuracy"])
        return known
    hook.use_most_bits()
    if run.search.evaluation == "unseen":
        return 100 * float(correct_images(trained.state.model, run.search, run.root, run.spec.precision).mean())
    return evaluate(trained.state.model, run.data, run.spec.precision)[1]
