"""The search: dense training in which tickets are looked for."""

import time
from pathlib import Path
from typing import Any

import torch

from ebreplicate import cost
from ebreplicate.plan import spec as specs
from ebreplicate.plan.keep import Keep
from ebreplicate.pruning.surgery import bn_widths
from ebreplicate.records import Store
from ebreplicate.stages.common import (
    Checkpoint,
    averaged_metrics,
    hooks_of,
    images,
    load_data,
    metrics_of,
    network,
    save_array,
    seen,
    shape,
    status_of,
)
from ebreplicate.training.device import provenance
from ebreplicate.training.loop import fit
from ebreplicate.training.observers import KeepWeights, Progress, Scores


def search(
    spec: specs.Search,
    store: Store,
    root: Path,
    device: torch.device,
    keep: Keep | None = None,
) -> dict[str, Any]:
    """Train the dense network; leave its scores at every epoch and its weights where tickets will be drawn."""
    started, folder = time.time(), store.folder(spec)
    data = load_data(spec, root, device)
    model = network(spec).to(device)
    forward = cost.forward_flops(model, shape(spec))
    checkpoint = Checkpoint(folder, specs.key(spec))
    resume = checkpoint.load()
    scores = Scores(list(resume["scores"]) if resume else None)
    keeper = KeepWeights(folder / "weights", keep or Keep(), scores.rows)
    if resume:
        keeper.restore(resume["history"])
    hooks = hooks_of(spec.recipe, spec.precision, spec.seed)
    with cost.Ledger(device) as ledger:
        state = fit(
            model,
            data,
            spec.recipe,
            seed=spec.seed,
            precision=spec.precision,
            observers=[scores, keeper, Progress(specs.key(spec))],
            hooks=hooks,
            resume=resume,
            checkpoint=lambda s: checkpoint.save({**s, "scores": torch.stack(scores.rows)}),
        )
    keeper.finish()
    save_array(folder / "scores.npy", torch.stack(scores.rows).numpy())
    count, n = images(spec), len(scores.rows[0])
    averaged = averaged_metrics(hooks, state, data, spec.seed)
    record = {
        "status": status_of(state),
        "metrics": {**metrics_of(state), **averaged, "bn_channels": n, "bn_widths": bn_widths(model)},
        "cost": {
            "precision": spec.precision,
            "forward_flops": forward,
            "training_flops": {c: cost.training_flops(f, count, len(state.history)) for c, f in forward.items()},
            **seen(ledger, state, resume),
        },
        "provenance": provenance(device, started),
    }
    store.write(spec, record, state.history)
    checkpoint.clear()
    return record
