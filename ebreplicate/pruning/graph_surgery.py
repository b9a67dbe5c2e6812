"""Channel surgery on any network: through the dependency graph of Torch-Pruning (an optional extra), and checked.

The suite's own networks are built anew from a channel configuration (`surgery.shrink`); others have none.
"""

import copy
from collections import defaultdict
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_leaves

from ebreplicate.errors import UserError
from ebreplicate.pruning.channels import batch_norms, masked, split_mask

Model = TypeVar("Model", bound=nn.Module)
TOLERANCE = 1e-3
"""Largest difference of the shrunk network's outputs from the masked one's, relative to the largest output: sums of
fewer terms round differently (below 1e-5 where seen), a wrong channel shows in the first digit."""
INSTEAD = "train `masked(model, mask)` instead: it is the same network, not made smaller"


@torch.inference_mode(False)
@torch.enable_grad()  # the graph is that of the gradients
def shrink_by_graph(model: Model, mask: Tensor, example: Tensor) -> Model:
    """Copy of `model` without the channels that `mask` (bool, (N,), over its batch norms in forward order) drops.

    A channel goes where every batch norm that shares it (along a residual connection, say) drops it. It stays and is
    silent (gamma and beta zero) elsewhere, where it is the last of its layer, and where a layer normalises it anew or
    takes it in groups. `example`: a batch of inputs, with which the graph is traced and the result compared with
    `masked(model, mask)`, in evaluation mode. Frozen parameters stay frozen. Raises UserError without Torch-Pruning,
    for a mask that keeps no channel, for a network that cannot be traced or shares a weight between layers of which
    one is cut, and where the two outputs differ.
    """
    reference = masked(model, mask).eval()
    if not mask.any():
        raise UserError("mask: keeps no channel; scores that are all equal (of an untrained network, say) rank none")
    small, frozen = copy.deepcopy(reference), {name for name, p in model.named_parameters() if not p.requires_grad}
    pruning = _torch_pruning()
    try:
        example = example.clone()  # one of inference mode takes no part in gradients
        _remove(small, mask, example, pruning)
        expected, found = _outputs(reference, example), _outputs(small, example)
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
    for names in _shared(model):
        if names not in _shared(small):
            raise UserError(f"model: {' and '.join(names)} are one weight, which surgery would make several; {INSTEAD}")
    for new, old in zip(small.modules(), model.modules(), strict=True):
        new.training = old.training
    for name, parameter in small.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return small


def _shared(model: nn.Module) -> list[list[str]]:
    """Names of each parameter that has several."""
    names: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    return [found for found in names.values() if len(found) > 1]


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
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    graph = pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    _check_reached(model, graph)
    take = pruning.prune_batchnorm_out_channels
    for bn in batch_norms(model):
        group = graph.get_pruning_group(bn, take, list(range(bn.num_features)))
        shared = dict.fromkeys(range(bn.num_features), True)  # whether all that share it drop it
        for layer, own, roots in _norms(group):
            for channel, root in zip(own, roots, strict=True):
                shared[root] = shared[root] and layer in keep and not keep[layer][channel]
        shared |= {root: False for item in group if _needs_all(item.dep.target.module) for root in item.root_idxs}
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


def _check_reached(model: nn.Module, graph: Any) -> None:
    """Raise UserError for a layer that the traced pass has not met, as its inputs would be cut without it."""
    reached = {inner for module in graph.module2node if isinstance(module, nn.Module) for inner in module.modules()}
    for name, module in model.named_modules():
        if isinstance(module, (_ConvNd, nn.Linear, nn.BatchNorm2d)) and module not in reached:
            raise UserError(
                f"model: layer {name} takes no part in the output in evaluation mode (an auxiliary head?), so its "
                f"connections cannot be followed; remove it, or {INSTEAD}"
            )


def _needs_all(module: nn.Module) -> bool:
    """Whether `module` needs all of its channels: it makes something of zeros by normalising, or takes groups."""
    if isinstance(module, _ConvNd):
        return module.groups > 1 and not module.groups == module.in_channels == module.out_channels
    other = isinstance(module, _NormBase) and not isinstance(module, nn.BatchNorm2d)
    return other or isinstance(module, (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.MultiheadAttention))


def _norms(group: Any) -> list[tuple[nn.BatchNorm2d, list[int], list[int]]]:
    """Batch norms of a pruning group: each with its channels in the group, and the root's channel that each is."""
    found = []
    for item in group:
        if isinstance(item.dep.target.module, nn.BatchNorm2d):
            found.append((item.dep.target.module, list(item.idxs), list(item.root_idxs)))
    return found


@torch.no_grad()
def _outputs(model: nn.Module, example: Tensor) -> list[Any]:
    """What `model` makes of `example`, one tensor or several; in float32 if it has 16 bits, whose rounding differs."""
    if example.dtype in (torch.bfloat16, torch.float16):
        model, example = copy.deepcopy(model).float(), example.float()
    return tree_leaves(model(example))


def _same(expected: list[Any], found: list[Any]) -> bool:
    return len(expected) == len(found) and all(map(_near, expected, found))


def _near(expected: Any, found: Any) -> bool:
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor) or expected.shape != found.shape:
        return False
    scale = expected.abs().max().clamp(min=1e-12)
    return bool((found - expected).abs().max() <= TOLERANCE * scale)
