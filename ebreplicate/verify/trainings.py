"""What a search, a retrain or a sparse training says of itself, against its history, its network and its parts."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebreplicate.specs.graph import other_names, search_of
from ebreplicate.specs.joint import SIZES, ZEROED, Joint
from ebreplicate.specs.spec import Adapt, Recipe, Retrain, Search, Sparse, Training, key
from ebreplicate.store.store import Store
from ebreplicate.verify.history import (
    Record,
    close,
    dense_forward,
    differences,
    evaluation_problems,
    history_problems,
    outcome_problems,
    plain,
    read_rows,
    schedule,
    text,
)

FIXED_DENSITY = ("static", "set", "rigl", "small-dense")
"""Methods of sparse training whose layers keep their number of weights: the record has the cost of each step."""
SHRINKING = ("snip", "gmp")
"""Methods that begin denser than they end."""

MEASURED = ("seconds", "peak_memory_mb", "energy_j", "energy_source")
"""What a run costs whatever it is called."""


def search_problems(spec: Search, record: Record, store: Store) -> Iterator[str]:
    """Network, FLOPs and scores of a search."""
    from ebreplicate import cost
    from ebreplicate.pruning.channels import bn_widths, prunable_scores
    from ebreplicate.runner.inputs import load_displacement, load_scores, network

    forward, epochs, dense = dense_forward(plain(spec)), record["metrics"]["epochs"], network(spec)
    training = {c: cost.training_flops(f, search_of(spec).train_images, epochs) for c, f in forward.items()}
    widths = bn_widths(dense)
    yield from differences(record["cost"], {"forward_flops": forward, "training_flops": training}, " of its network")
    yield from differences(record["metrics"], {"bn_widths": widths, "bn_channels": sum(widths)}, " of its network")
    scores = load_scores(spec, store)
    if tuple(scores.shape) != (epochs + 1, sum(widths)):
        yield f"scores.npy has {tuple(scores.shape)} entries, not {(epochs + 1, sum(widths))}"
    elif record["status"] == "ok" and not (scores.isfinite().all() and (scores >= 0).all()):
        yield "scores.npy: not all are finite and at least zero"
    elif not scores[0].equal(prunable_scores(dense)):
        yield "scores.npy does not begin with those of the untrained network"
    if spec.factorised:
        yield from _norm_problems(record, dense)
    if spec.joint:
        yield from _joint_problems(spec, spec.joint, record, dense)
    if (store.folder(spec) / "displacement.npy").is_file():
        yield from _displacement_problems(load_displacement(spec, store), epochs, dense)


def _norm_problems(record: Record, untrained: Any) -> Iterator[str]:
    """Norms of factorised layers: one an epoch, none below another that bounds it, the untrained network first."""
    import torch

    from ebreplicate.training.factorised import NORMS, FactorNorms

    hook = FactorNorms()
    hook.attach(untrained, torch.optim.SGD(untrained.parameters()), Recipe(), 1)
    columns = [record["metrics"].get(name, []) for name in NORMS]
    for name, column, (first,) in zip(NORMS, columns, hook.metrics().values(), strict=True):
        if len(column) != record["metrics"]["epochs"] + 1:
            yield f"{name} has {len(column)} entries, not {record['metrics']['epochs'] + 1}"
        elif not close(column[0], first, 1e-4):
            yield f"{name} does not begin with that of the untrained network"
    finite = [row for row in zip(*columns, strict=False) if None not in row]
    if any(not frobenius <= nuclear * (1 + 1e-6) <= bound * (1 + 2e-6) for nuclear, bound, frobenius in finite):
        yield "nuclear_norm is above its bound, or below the Frobenius norm"


def _joint_problems(spec: Search, joint: Joint, record: Record, untrained: Any) -> Iterator[str]:
    """What a search that prunes trained, epoch by epoch: from the whole network on, never more, to its target."""
    from ebreplicate.cost import uses_per_weight
    from ebreplicate.pruning.weights import weight_counts
    from ebreplicate.runner.inputs import shape

    counts = weight_counts(untrained)
    products = sum(n * uses for n, uses in zip(counts, uses_per_weight(untrained, shape(spec)), strict=True))
    channels = sum(block.gate.num_features for block in untrained.blocks)
    whole = dict(zip(SIZES, (channels, sum(counts), sum(counts), products), strict=True))
    columns = {name: record["metrics"].get(name, []) for name in SIZES}
    for name, column in columns.items():
        if len(column) != record["metrics"]["epochs"] + 1:
            yield f"{name} has {len(column)} entries, not {record['metrics']['epochs'] + 1}"
        elif column[0] != whole[name]:
            yield f"{name} does not begin with that of the untrained network, {whole[name]}"
        elif name.startswith("alive") and column != sorted(column, reverse=True):
            yield f"{name} rises"
    alive, kept = (columns[name][-1:] for name in ("alive_weights", "unmasked_weights"))
    if record["status"] == "ok" and alive and kept:
        most = alive[0] - round(joint.target * alive[0])
        if kept[0] > most or (kept[0] < most and joint.connectivity != ZEROED):
            yield f"unmasked_weights end at {kept[0]}, and {joint.target:g} of {alive[0]} pruned are {most}"


def bits_problems(spec: Search, record: Record, store: Store) -> Iterator[str]:
    """The bits of a quantised search, of which its BitOPs follow, and its accuracy at the most of them."""
    import torch

    from ebreplicate.runner.inputs import network, shape
    from ebreplicate.training.precision import bitops, products_of

    assert spec.bits is not None
    rows, products = torch.from_numpy(store.part(spec, "bits.npy", axes=3)), products_of(network(spec), shape(spec))
    low, high = spec.bits.forward[0], spec.bits.forward[-1]
    if tuple(rows.shape) != (record["metrics"]["epochs"], 3, len(products)):
        yield f"bits.npy has {tuple(rows.shape)} entries, not one for each epoch and convolution"
    elif not ((low <= rows[:, 0]) & (rows[:, 0] <= high)).all():
        yield f"bits.npy: forward bits beyond {low} to {high}"
    else:
        yield from differences(record["cost"], bitops(rows, products, spec.train_images), " of its bits")
        if bool((rows[-1, 0] == high).all()) and record["status"] == "ok":
            last = record["metrics"].get("unseen_accuracy", record["metrics"]["last_accuracy"])
            yield from differences(record["metrics"], {"most_bits_accuracy": last}, ", its accuracy at these bits")


def _displacement_problems(rows: Any, epochs: int, dense: Any) -> Iterator[str]:
    """The displacement of a search's weights: its shape, and the norm of the untrained network."""
    from ebreplicate.training.displacement import Displacement
    from ebreplicate.training.loop import State

    if tuple(rows.shape) != (epochs + 1, 3):
        yield f"displacement.npy has {tuple(rows.shape)} entries, not {(epochs + 1, 3)}"
        return
    start = Displacement()
    start(State(dense, Recipe(), 0, 0))
    if not rows[0].allclose(start.table()[0]):
        yield "displacement.npy does not begin with the untrained network"


def _twin_problems(spec: Retrain, record: Record, store: Store) -> Iterator[str]:
    """A record that names another run as the one that was trained."""
    for twin in other_names(spec, (store.read(spec.ticket) or {})["metrics"]["epoch"]):
        if key(twin) != record["trained_as"]:
            continue
        ours, drawn, trained = store.read(spec.ticket), store.read(twin.ticket), store.read(twin)
        if not (ours and drawn and trained):
            yield f"was trained as {record['trained_as']}, which is not here"
        elif ours["metrics"]["epoch"] != drawn["metrics"]["epoch"]:
            yield f"was trained as {record['trained_as']}, which is of another draw epoch"
        else:
            for name in ("status", "metrics", "provenance"):
                if record[name] != trained[name]:
                    yield f"{name} are not those of {record['trained_as']}, as which it was trained"
            measured = {name: trained["cost"][name] for name in MEASURED if name in trained["cost"]}
            yield from differences(record["cost"], measured, f" of {record['trained_as']}, as which it was trained")
        return
    yield f"was trained as {text(record['trained_as'])}, which is no other name of it"


def retrain_problems(spec: Retrain, record: Record, store: Store) -> Iterator[str]:
    """Whether a retrain had a ticket, and its FLOPs, the sum of their parts."""
    from ebreplicate import cost

    drawn = store.read(spec.ticket)
    if drawn is None:
        yield f"its draw {key(spec.ticket)} is not here"
        return
    epoch = drawn["metrics"]["epoch"]
    nothing = drawn["status"] != "ok" or (spec.schedule == "continue" and epoch == spec.recipe.epochs)
    if (record["status"] == "no-ticket") != nothing:
        yield f"status {record['status']!r}, and its draw is {drawn['status']!r} at epoch {epoch}"
        return
    if nothing:
        untrained = dict.fromkeys(("last_accuracy", "best_accuracy", "best_epoch")) | {"epochs": 0}
        yield from differences(record["metrics"], untrained, ", for nothing was trained")
        return
    ledger, found = record["cost"], drawn["cost"]
    count, epochs = search_of(spec).train_images, record["metrics"]["epochs"]
    own = {c: cost.training_flops(f, count, epochs) for c, f in found["forward_flops"].items()}
    parts = {c: found["search_flops"][c] + found["draw_flops"] + f for c, f in own.items()}
    drew = {name: found[name] for name in ("forward_flops", "search_flops", "draw_flops")}
    yield from differences(ledger, drew, " of its draw")
    yield from differences(ledger, {"retrain_flops": own}, " of its network and epochs")
    yield from differences(ledger, {"training_flops": parts}, ", the sum of its parts")
    if "trained_as" in record:
        yield from _twin_problems(spec, record, store)


def _alive_problems(spec: Sparse, record: Record, trained: Any, store: Store) -> Iterator[str]:
    """Neurons and weights without dead ones of a fully connected network, against its mask."""
    from ebreplicate.catalog import SPARSIFIERS
    from ebreplicate.pruning.compaction import alive_facts
    from ebreplicate.pruning.weights import split_weights, weight_counts
    from ebreplicate.runner.inputs import load_mask, shape

    masks = split_weights(trained, load_mask(spec, store, sum(weight_counts(trained))))
    hook = SPARSIFIERS.load(spec.method)(spec)
    hook.cover(trained)
    start = hook.initial()[0].view(masks[0].shape)
    expected = alive_facts(masks, start, trained, math.prod(shape(spec)))
    nnz = {"nnz": sum(int(m.count_nonzero()) for m in masks)}
    yield from differences(record["metrics"], expected | nnz, ", which is what mask.npy has")


def sparse_problems(spec: Sparse, record: Record, store: Store) -> Iterator[str]:
    """Remaining weights, and FLOPs, of a sparse training."""
    from ebreplicate import cost
    from ebreplicate.catalog import SPARSIFIERS
    from ebreplicate.cost.layers import layer_costs
    from ebreplicate.cost.sparse import sparse_forward
    from ebreplicate.runner.inputs import shape
    from ebreplicate.stages.sparse import sparse_network
    from ebreplicate.training.sparse import sparse_layers

    metrics, ledger, hook = record["metrics"], record["cost"], SPARSIFIERS.load(spec.method)(spec)
    if spec.compact_of is not None and store.read(spec.compact_of) is None:
        yield f"its larger network {key(spec.compact_of)} is not here"
        return
    trained = sparse_network(dataclasses.replace(spec, width=hook.width()), store)
    full = dense_forward(plain(spec))
    if spec.compact_of is None:
        own = dense_forward(plain(dataclasses.replace(spec, width=hook.width())))
    else:
        own = cost.forward_flops(trained, shape(spec))
    if "architecture" in metrics:
        yield from _alive_problems(spec, record, trained, store)
    sizes = {name: layer.weight.numel() for name, layer in sparse_layers(trained).items()}
    nnz = {name: round(metrics["density"][name] * size) for name, size in sizes.items()}
    remaining = {"nnz": sum(nnz.values()), "prunable": sum(sizes.values()), "width": hook.width()}
    remaining["sparsity"] = 1 - remaining["nnz"] / remaining["prunable"]
    yield from differences(metrics, remaining, " of its layers")
    final = sparse_forward(own, layer_costs(trained, shape(spec)), metrics["density"])
    once = {c: 3 * f * search_of(spec).train_images * spec.recipe.epochs for c, f in full.items()}
    forward = {"forward_flops": full, "sparse_forward_flops": final}
    forward["relative_forward"] = {c: final[c] / full[c] for c in full}
    forward["relative_training"] = {c: ledger["training_flops"][c] / once[c] for c in full}
    yield from differences(ledger, forward, " of its network")
    images = search_of(spec).train_images * metrics["epochs"]
    at_end = {c: hook.training_flops(final[c], own[c]) * images for c in full}
    if spec.method in FIXED_DENSITY:
        yield from differences(ledger, {"training_flops": at_end}, " at its densities")
    elif spec.method in SHRINKING:
        for c, least in at_end.items():
            if ledger["training_flops"][c] < least * (1 - 1e-9):
                yield f"training_flops {ledger['training_flops'][c]:g} are fewer than {least:g} at its final densities"


def adapt_problems(spec: Adapt, record: Record) -> Iterator[str]:
    """FLOPs of an adaption, and what it stores."""
    from ebreplicate.models.masked import storage
    from ebreplicate.runner.inputs import network
    from ebreplicate.stages.adapt import flops

    metrics = record["metrics"]
    stored = storage(network(spec), spec.method, metrics["mask_zeros"])
    yield from differences(metrics, stored, " of its network")
    if metrics["mask_zeros"] > stored["mask_entries"]:
        yield f"mask_zeros {metrics['mask_zeros']} of {stored['mask_entries']} entries"
    yield from differences(
        record["cost"], flops(spec, dense_forward(plain(spec)), metrics["epochs"]), " of its network"
    )


def unseen_problems(spec: Training | Retrain, record: Record, store: Store) -> Iterator[str]:
    """Accuracies on unseen images against correct.npy, one bit an image; and only where the spec asks for them."""
    import numpy as np

    from ebreplicate.training.unseen import CORRECT, accuracies

    search = search_of(spec)
    if search.evaluation != "unseen":
        if "unseen_accuracy" in record["metrics"]:
            yield "unseen_accuracy: its spec asks for no evaluation on unseen images"
        return
    measured = record["status"] == "ok" or "unseen_accuracy" in record["metrics"]
    if not measured or "trained_as" in record:
        return
    packed, images = store.part(spec, CORRECT, axes=1), search.unseen_images
    if packed.dtype != np.uint8 or len(packed) != -(-images // 8):
        yield f"{CORRECT}: not one bit for each of {images} images"
        return
    correct = np.unpackbits(packed, count=images).astype(bool)
    yield from differences(record["metrics"], accuracies(search, correct), f", which is what {CORRECT} has")


def training_problems(spec: Training | Retrain, record: Record, folder: Path, store: Store) -> Iterator[str]:
    """Everything about one search, retrain or sparse training."""
    if isinstance(spec, Retrain):
        yield from retrain_problems(spec, record, store)
    if (
        record["status"] != "no-ticket"
        and "trained_as" not in record
        and (not isinstance(spec, Retrain) or store.done(spec.ticket))
    ):
        try:
            name = "history.csv"
            rows = read_rows(folder / name)
            if not rows:
                raise ValueError("no rows")
            name = "evaluations.csv"
            evaluations = read_rows(folder / name) if search_of(spec).validation else []
        except (OSError, ValueError, KeyError, TypeError) as e:
            yield f"{name}: unreadable ({e})"
            return
        recipe, start = schedule(spec, store)
        yield from history_problems(spec, rows, recipe, start)
        yield from outcome_problems(spec, record, rows, recipe)
        if search_of(spec).validation:
            yield from evaluation_problems(spec, record, evaluations, recipe, len(rows))
    if not isinstance(spec, Sparse) and record["status"] != "no-ticket":
        searched = {} if isinstance(spec, Training) else {"search_precision": search_of(spec).precision}
        yield from differences(record["cost"], {"precision": spec.precision} | searched, " of its spec")
    yield from unseen_problems(spec, record, store)
    if isinstance(spec, Search):
        yield from search_problems(spec, record, store)
        yield from bits_problems(spec, record, store) if spec.bits else ()
    if isinstance(spec, Sparse):
        yield from sparse_problems(spec, record, store)
    if isinstance(spec, Adapt):
        yield from adapt_problems(spec, record)
