"""The search: dense training in which tickets are looked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ebreplicate import cost
from ebreplicate.pruning.surgery import bn_widths
from ebreplicate.specs import spec as specs
from ebreplicate.specs.keep import Keep
from ebreplicate.stages.inputs import network, shape
from ebreplicate.stages.record import save_array
from ebreplicate.stages.training import Run, hooks_of
from ebreplicate.store.store import Store
from ebreplicate.training.displacement import Displacement
from ebreplicate.training.observers import KeepWeights, Scores
from ebreplicate.training.soft import SoftFilters
from ebreplicate.training.taylor import Taylor


def rows_of(scores: Scores, taylor: Taylor | None = None) -> dict[str, Tensor]:
    """What a search records of every epoch, by name: each (epochs + 1, N)."""
    return {"scores": torch.stack(scores.rows)} | ({"taylor": torch.stack(taylor.rows)} if taylor else {})


def displacement_of(resume: dict[str, Any] | None, keep: Keep) -> list[Displacement]:
    """What records the displacement of the weights, from where the snapshot `resume` is; none if nobody asks for it."""
    return [Displacement(resume["displacement"] if resume else None)] if keep.crop else []


def state_of(moved: Sequence[Displacement]) -> dict[str, Any]:
    """What a snapshot holds of the displacement, where it is recorded."""
    return {"displacement": moved[0].state_dict()} if moved else {}


def fitting(snapshot: dict[str, Any] | None, keep: Keep) -> dict[str, Any] | None:
    """The snapshot, if a search that keeps `keep` can go on from it.

    One without the Taylor scores or the displacement that are asked for now cannot have them after the fact: the search
    starts over. Taylor scores no longer asked for are left out, with the state of their hook, which is the last.
    """
    if snapshot is not None and keep.crop and "displacement" not in snapshot:
        return None
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
    """Train the dense network; save its scores at every epoch, and its weights where tickets will be drawn.

    `keep`: which weights, and whether Taylor scores and the displacement of weights. Returns the record.
    """
    keep = keep or Keep()
    run = Run(spec, store, root, device)
    model = network(spec).to(device)
    forward = cost.forward_flops(model, shape(spec))
    resume = fitting(run.checkpoint.load(), keep)
    scores = Scores(list(resume["scores"]) if resume else None)
    taylor = Taylor(list(resume["taylor"]) if resume and keep.taylor else None)
    recorded = [taylor] if keep.taylor else []
    moved = displacement_of(resume, keep)
    keeper = KeepWeights(
        run.folder / "weights",
        keep,
        scores.rows,
        bn_widths(model),
        taylor.rows,
        displacement=moved[0].rows if moved else None,
    )
    if resume:
        keeper.restore(resume["history"])
    soft = [SoftFilters(spec.soft_ratio)] if spec.soft_ratio else []
    trained = run.train(
        model,
        spec.recipe,
        spec.seed,
        hooks=[*hooks_of(spec.recipe, spec.precision, spec.seed), *soft, *run.validating, *recorded],
        observers=[scores, *recorded, *moved, keeper],
        resume=resume,
        checkpoint=lambda s, now: keeper.settle(
            run.checkpoint.save(s | rows_of(scores, *recorded) | state_of(moved), now)
        ),
    )
    keeper.finish()
    for name, rows in rows_of(scores, *recorded).items():
        save_array(run.folder / f"{name}.npy", rows.numpy())
    for one in moved:
        save_array(run.folder / "displacement.npy", one.table().numpy())
    metrics = {"bn_channels": len(scores.rows[0]), "bn_widths": bn_widths(model)}
    training = {c: cost.training_flops(f, spec.train_images, trained.epochs) for c, f in forward.items()}
    flops = {"precision": spec.precision, "forward_flops": forward, "training_flops": training}
    return run.save(trained, metrics, flops)
