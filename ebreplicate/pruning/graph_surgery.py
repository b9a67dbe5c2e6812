"""Channel surgery on any network: through the dependency graph of Torch-Pruning (an optional extra), and checked.

The suite's own networks are built anew from a channel configuration (`surgery.shrink`); others have none.
"""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ebreplicate.errors import UserError
from ebreplicate.pruning.channels import batch_norms, masked, split_mask

Model = TypeVar("Model", bound=nn.Module)
TOLERANCE = 1e-3
"""Largest difference of the shrunk network's outputs from the masked one's, relative to the largest output: sums of
fewer terms round differently (below 1e-5 where seen), a wrong channel shows in the first digit."""
INSTEAD = "train `masked(model, mask)` instead: it is the same network, not made smaller"


def shrink_by_graph(model: Model, mask: Tensor, example: Tensor) -> Model:
    """Copy of `model` without the channels that `mask` (bool, (N,), over its batch norms in forward order) drops.

    A channel goes where every batch norm that shares it (along a residual connection, say) drops it; elsewhere, and
    where it is the last of its layer, it stays and is silent (gamma and beta zero). `example`: a batch of inputs, with
    which the graph is traced and the result compared with `masked(model, mask)`, in evaluation mode. Raises UserError
    without Torch-Pruning, for a network that it cannot trace, and where the two differ.
    """
    reference = masked(model, mask).eval()
    small = copy.deepcopy(reference)
    pruning = _torch_pruning()
    try:
        _remove(small, mask, example, pruning)
        with torch.no_grad():
            expected, found = reference(example), small(example)
    except UserError:
        raise
    except Exception as e:  # whatever tracing and surgery of a foreign network raise
        said = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise UserError(f"model: {type(model).__name__} cannot be shrunk by Torch-Pruning ({said}); {INSTEAD}") from e
    if not _same(expected, found):
        raise UserError(
            f"model: {type(model).__name__}, shrunk, does not compute what the masked network computes (a connection "
            f"that Torch-Pruning does not follow?); {INSTEAD}"
        )
    for new, old in zip(small.modules(), model.modules(), strict=True):
        new.training = old.training
    return small


def _torch_pruning() -> Any:
    try:
        import torch_pruning
    except ImportError:
        raise UserError(
            "model: shrinking a network that is not one of this package's needs Torch-Pruning, which is not installed "
            f"(pip install torch-pruning, or this package's extra [shrink]); or {INSTEAD}"
        ) from None
    return torch_pruning


def _remove(model: nn.Module, mask: Tensor, example: Tensor, pruning: Any) -> None:
    """Remove from `model`, in place, every channel that all batch norms sharing it drop."""
    keep = dict(zip(batch_norms(model), (m.tolist() for m in split_mask(model, mask)), strict=True))
    graph = pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    take = pruning.prune_batchnorm_out_channels
    for bn in batch_norms(model):
        group = graph.get_pruning_group(bn, take, list(range(bn.num_features)))
        shared = dict.fromkeys(range(bn.num_features), True)  # whether all that share it drop it
        for layer, own, roots in _norms(group):
            for channel, root in zip(own, roots, strict=True):
                shared[root] = shared[root] and layer in keep and not keep[layer][channel]
        gone = [channel for channel, drop in shared.items() if drop]
        if len(gone) == bn.num_features:
            gone = gone[1:]  # a layer keeps one channel, which is silent
        if not gone:
            continue
        group = graph.get_pruning_group(bn, take, gone)
        for layer, own, _ in _norms(group):
            removed = set(own)
            keep[layer] = [kept for channel, kept in enumerate(keep[layer]) if channel not in removed]
        group.prune()


def _norms(group: Any) -> list[tuple[nn.BatchNorm2d, list[int], list[int]]]:
    """Batch norms of a pruning group: each with its channels in the group, and the root's channel that each is."""
    found = []
    for item in group:
        if isinstance(item.dep.target.module, nn.BatchNorm2d):
            found.append((item.dep.target.module, list(item.idxs), list(item.root_idxs)))
    return found


def _same(expected: Any, found: Any) -> bool:
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor) or expected.shape != found.shape:
        return False
    scale = expected.abs().max().clamp(min=1e-12)
    return bool((found - expected).abs().max() <= TOLERANCE * scale)
