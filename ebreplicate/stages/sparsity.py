"""Sparse training: a sparse network from scratch, its accuracy, mask and cost."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from ebreplicate import cost
from ebreplicate.plan import spec as specs
from ebreplicate.plan.fields import need
from ebreplicate.records import Store
from ebreplicate.sparse_flops import layer_costs, sparse_forward
from ebreplicate.stages.common import (
    Checkpoint,
    load_data,
    metrics_of,
    network,
    seen,
    shape,
    status_of,
    unseen_metrics,
    validated_metrics,
    validations,
)
from ebreplicate.training.loop import fit
from ebreplicate.training.observers import Progress
from ebreplicate.training.provenance import provenance
from ebreplicate.training.sparse import SparseHook
from ebreplicate.training.sparsifiers import SPARSIFIERS


def sparse(spec: specs.Sparse, store: Store, root: Path, device: torch.device) -> dict[str, Any]:
    """Train a sparse network from scratch; leave accuracy, densities and cost relative to the dense network."""
    started = time.time()
    _check(spec)
    data = load_data(spec, root, device)
    hook: SparseHook = SPARSIFIERS.load(spec.method)(spec)
    width = hook.width()
    dense = network(spec)
    trained = dense if width == spec.width else network(dataclasses.replace(spec, width=width))
    validating = validations(spec, data, spec.precision)
    checkpoint = Checkpoint(store.folder(spec), specs.key(spec))
    resume = checkpoint.load()
    with cost.Ledger(device) as ledger:
        state = fit(
            trained.to(device),
            data,
            spec.recipe.scaled(spec.multiplier),
            seed=spec.seed,
            precision=spec.precision,
            observers=[Progress(specs.key(spec))],
            hooks=[hook, *validating],
            resume=resume,
            checkpoint=checkpoint.save,
        )
    folder, ok = store.folder(spec), status_of(state) == "ok"
    unseen = unseen_metrics(spec, trained, root, spec.precision, folder) if ok else {}
    record = {
        "status": status_of(state),
        "metrics": {**validated_metrics(metrics_of(state), validating), **unseen, **_mask_metrics(hook, width)},
        "cost": {**_flops(spec, hook, dense, trained, len(state.history)), **seen(ledger, state, resume)},
        "provenance": provenance(spec, device, started),
    }
    store.write(spec, record, state.history, evaluations=[row for v in validating for row in v.rows])
    checkpoint.clear()
    return record


def _check(spec: specs.Sparse) -> None:
    """Raise UserError for what sparse training does not offer, instead of leaving it out in silence."""
    need(spec.precision not in specs.LOW_PRECISIONS, "Sparse.precision", f"{spec.precision} is not offered; use fp32")
    averages = spec.recipe.swa_start is not None
    need(not averages, "Sparse.recipe.swa_start", "weights are not averaged over changing masks; leave it out")


def _mask_metrics(hook: SparseHook, width: float) -> dict[str, Any]:
    """Weights that are left, of how many, per layer and in all; how often the mask changed."""
    sizes = {name: weight.numel() for name, weight in hook.weights.items()}
    return {
        "nnz": sum(hook.nnz.values()),
        "prunable": sum(sizes.values()),
        "sparsity": 1 - sum(hook.nnz.values()) / sum(sizes.values()),
        "density": {name: hook.nnz[name] / size for name, size in sizes.items()},
        "mask_updates": hook.updates,
        "width": width,
    }


def _flops(
    spec: specs.Sparse, hook: SparseHook, dense: torch.nn.Module, trained: torch.nn.Module, epochs: int
) -> dict[str, Any]:
    """FLOPs under every convention. Forward: the dense network's and the final sparse one's; training: by the method's
    formula at the mean density over steps; and both relative to dense training of the recipe once."""
    full = cost.forward_flops(dense, shape(spec))
    own = full if trained is dense else cost.forward_flops(trained, shape(spec))
    layers = layer_costs(trained, shape(spec))
    final = sparse_forward(own, layers, {n: hook.nnz[n] / w.numel() for n, w in hook.weights.items()})
    mean = sparse_forward(own, layers, hook.mean_density())
    count = spec.train_images
    total = {c: hook.training_flops(mean[c], own[c]) * count * epochs for c in full}
    once = {c: cost.training_flops(f, count, spec.recipe.epochs) for c, f in full.items()}
    return {
        "forward_flops": full,
        "sparse_forward_flops": final,
        "training_flops": total,
        "relative_forward": {c: final[c] / full[c] for c in full},
        "relative_training": {c: total[c] / once[c] for c in full},
    }
