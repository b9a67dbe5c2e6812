"""The search: dense training in which tickets are looked for."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebreplicate import cost
from ebreplicate.pruning.surgery import bn_widths
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.common import (
    Checkpoint,
    averaged_metrics,
    hooks_of,
    load_data,
    metrics_of,
    network,
    save_array,
    seen,
    shape,
    status_of,
    unseen_metrics,
    validated_metrics,
    validations,
)
from ebreplicate.store.store import Store
from ebreplicate.training.loop import fit
from ebreplicate.training.observers import KeepWeights, Progress, Scores
from ebreplicate.training.provenance import provenance
from ebreplicate.training.soft import SoftFilters
from ebreplicate.training.taylor import Taylor


def rows_of(scores: Scores, taylor: Taylor | None = None) -> dict[str, Tensor]:
    """What a search records of every epoch, by name: each (epochs + 1, N)."""
    return {"scores": torch.stack(scores.rows)} | ({"taylor": torch.stack(taylor.rows)} if taylor else {})


def fitting(snapshot: dict[str, Any] | None, keep: Keep) -> dict[str, Any] | None:
    """The snapshot, if a search that keeps `keep` can go on from it.

    One without the Taylor scores that are asked for now cannot have them after the fact: the search starts over. Those
    no longer asked for are left out, with the state of their hook, which is the last.
    """
    if snapshot is None or ("taylor" in snapshot) == keep.taylor:
        return snapshot
    return None if keep.taylor else {**snapshot, "hooks": snapshot["hooks"][:-1]}


def search(
    spec: specs.Search,
    store: Store,
    root: Path,
    device: torch.device,
    keep: Keep | None = None,
) -> dict[str, Any]:
    """Train the dense network; leave its scores at every epoch and its weights where tickets will be drawn."""
    started, folder = time.time(), store.folder(spec)
    keep = keep or Keep()
    data = load_data(spec, root, device)
    model = network(spec).to(device)
    forward = cost.forward_flops(model, shape(spec))
    checkpoint = Checkpoint(folder, specs.key(spec))
    resume = fitting(checkpoint.load(), keep)
    scores = Scores(list(resume["scores"]) if resume else None)
    taylor = Taylor(list(resume["taylor"]) if resume and keep.taylor else None)
    recorded = [taylor] if keep.taylor else []
    keeper = KeepWeights(folder / "weights", keep, scores.rows, bn_widths(model), taylor.rows)
    if resume:
        keeper.restore(resume["history"])
    soft = [SoftFilters(spec.soft_ratio)] if spec.soft_ratio else []
    validating = validations(spec, data, spec.precision)
    hooks = [*hooks_of(spec.recipe, spec.precision, spec.seed), *soft, *validating, *recorded]
    with cost.Ledger(device) as ledger:
        state = fit(
            model,
            data,
            spec.recipe,
            seed=spec.seed,
            precision=spec.precision,
            observers=[scores, *recorded, keeper, Progress(specs.key(spec))],
            hooks=hooks,
            resume=resume,
            checkpoint=lambda s, now: keeper.settle(checkpoint.save(s | rows_of(scores, *recorded), now)),
        )
    keeper.finish()
    for name, rows in rows_of(scores, *recorded).items():
        save_array(folder / f"{name}.npy", rows.numpy())
    count, n = spec.train_images, len(scores.rows[0])
    unseen = unseen_metrics(spec, model, root, spec.precision, folder) if status_of(state) == "ok" else {}
    averaged = averaged_metrics(hooks, state, data, spec.seed)
    record = {
        "status": status_of(state),
        "metrics": {
            **validated_metrics(metrics_of(state), validating),
            **unseen,
            **averaged,
            "bn_channels": n,
            "bn_widths": bn_widths(model),
        },
        "cost": {
            "precision": spec.precision,
            "forward_flops": forward,
            "training_flops": {c: cost.training_flops(f, count, len(state.history)) for c, f in forward.items()},
            **seen(ledger, state, resume),
        },
        "provenance": provenance(spec, device, started),
    }
    store.write(spec, record, state.history, evaluations=[row for hook in validating for row in hook.rows])
    checkpoint.clear()
    return record
