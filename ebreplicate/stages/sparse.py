"""Sparse training: a sparse network from scratch, its accuracy, mask and cost."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch

from ebreplicate import cost
from ebreplicate.catalog import FULLY_CONNECTED, INFO, SPARSIFIERS
from ebreplicate.cost.layers import layer_costs
from ebreplicate.cost.sparse import sparse_forward
from ebreplicate.models.common import Network, initialised
from ebreplicate.models.lenet import compact_lenet300
from ebreplicate.pruning.compaction import alive_facts
from ebreplicate.pruning.weights import pack
from ebreplicate.runner.inputs import needed, network, shape
from ebreplicate.runner.record import save_array
from ebreplicate.runner.run import Run
from ebreplicate.specs import spec as specs
from ebreplicate.specs.fields import need
from ebreplicate.store.store import Store
from ebreplicate.training.sparse import SparseHook


def sparse_network(spec: specs.Sparse, store: Store) -> Network:
    """The network that a sparse training starts from, on the CPU: the spec's, or the compact one of another training.

    The compact network has the pixels and hidden widths that the other training's record tells, and new weights.
    """
    if spec.compact_of is None:
        return network(spec)
    found = needed(spec.compact_of, store)["metrics"]
    pixels = [i for i, connections in enumerate(found["input_connections"]["end"]) if connections]
    hidden = (found["architecture"][1], found["architecture"][2])
    torch.manual_seed(spec.seed)
    small = compact_lenet300(pixels, hidden, INFO[spec.dataset].classes, shape(spec))
    return initialised(small, spec.weight_init)


def sparse(spec: specs.Sparse, store: Store, root: Path, device: torch.device) -> dict[str, Any]:
    """Train a sparse network from scratch; save accuracy, densities and cost relative to the dense network."""
    _check(spec)
    run = Run(spec, store, root, device)
    hook: SparseHook = SPARSIFIERS.load(spec.method)(spec)
    width = hook.width()
    dense = network(spec)
    other = spec.compact_of is not None or width != spec.width
    model = sparse_network(dataclasses.replace(spec, width=width), store) if other else dense
    recipe, resume = spec.recipe.scaled(spec.multiplier), run.checkpoint.load()
    trained = run.train(model.to(device), recipe, spec.seed, hooks=[hook, *run.validating], resume=resume)
    metrics: dict[str, Any] = {"width": width}
    if spec.model in FULLY_CONNECTED:
        masks = [mask.cpu() for mask in hook.masks.values()]
        start = hook.initial()[0].view(masks[0].shape).cpu()
        metrics |= alive_facts(masks, start, model, math.prod(shape(spec)))
        save_array(run.folder / "mask.npy", pack(torch.cat([m.flatten() for m in masks])))
    return run.save(trained, metrics, _flops(spec, hook, dense, model, trained.epochs))


def _check(spec: specs.Sparse) -> None:
    """Raise UserError for options that sparse training does not offer."""
    need(spec.precision not in specs.LOW_PRECISIONS, "Sparse.precision", f"{spec.precision} is not offered; use fp32")
    averages = spec.recipe.swa_start is not None
    need(not averages, "Sparse.recipe.swa_start", "weights are not averaged over changing masks; leave it out")


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
