"""What a scale would run, told before anything runs. No torch unless a FLOPs estimate is asked for."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.plan.plan import Plan, epochs_of, lineage, requests, search_of
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import STAGES, GraphTickets, Retrain, Search, Spec, canonical, key, sized
from ebreplicate.records import Store
from ebreplicate.training.datasets import INFO


def epochs_unshared(scale: Scale, items: Iterable[str] = EXPERIMENTS) -> int:
    """Training epochs if every run that an item asks for began from scratch, as separate scripts would."""
    return sum(epochs_of(run) for item in items for spec in requests(scale, [item]) for run in lineage(spec))


Network = tuple[str, str, float, int, str]
"""What decides how fast a run trains: model, dataset, width, batch size, precision."""


def _network(spec: Spec) -> Network:
    search = search_of(spec)
    batch = spec.recipe.batch_size if isinstance(spec, Retrain) else search.recipe.batch_size
    precision = spec.precision if isinstance(spec, Retrain) else search.precision
    return search.model, search.dataset, search.width, batch, precision


def planned_flops(plan: Plan, store: Store) -> dict[Network, tuple[float, float]]:
    """Training FLOPs (authors' convention) per network: of all runs, and of those not done.

    A network without channels is counted as dense times (1 - ratio), one under a mask over weights as dense. Runs over
    graphs, of seconds each, are left out.
    """
    from ebreplicate import cost
    from ebreplicate.models import build

    dense: dict[tuple[str, str, float], float] = {}
    total: dict[Network, tuple[float, float]] = {}
    for spec in (s for s in plan.runs.values() if not isinstance(s, GraphTickets)):
        name, search = _network(spec), search_of(spec)
        if name[:3] not in dense:
            info = INFO[search.dataset]
            dense[name[:3]] = cost.flops(build(name[0], info.classes, name[2], shape=info.shape), info.shape)
        share = 1 - spec.ticket.ratio if isinstance(spec, Retrain) and not spec.ticket.over_weights else 1
        flops = cost.training_flops(dense[name[:3]] * share, search.train_images, epochs_of(spec))
        planned, left = total.get(name, (0.0, 0.0))
        total[name] = planned + flops, left + (0.0 if store.done(spec) else flops)
    return total


def _finished_speeds(store: Store, plan: Plan) -> dict[Network, float]:
    """Median seconds per FLOP of finished searches, per network."""
    found: dict[Network, list[float]] = defaultdict(list)
    for spec in plan.stage(Search):
        record = store.read(spec)
        if record and record["status"] == "ok":
            found[_network(spec)].append(record["cost"]["seconds"] / record["cost"]["training_flops"]["authors"])
    return {name: statistics.median(values) for name, values in found.items()}


def _trial_batch(batch: int, side: int) -> int:
    """Batch of a trial: on a CPU, where the time per image hardly depends on it, at most 8 images of 32x32."""
    import torch

    return batch if torch.cuda.is_available() else min(batch, max(2, 8 * 32**2 // side**2))


def _trial_speeds(networks: Iterable[Network]) -> dict[Network, float]:
    """Seconds per FLOP of each network; one trial for all that are equally fast."""
    tried: dict[tuple[object, ...], float] = {}
    found = {}
    for name in networks:
        model, dataset, width, batch, precision = name
        info = INFO[dataset]
        like = model, info.shape, width, _trial_batch(batch, info.side), precision
        if like not in tried:
            tried[like] = _trial_speed(name)
        found[name] = tried[like]
    return found


def _trial_speed(name: Network) -> float:
    """Seconds per FLOP of a network's training steps on this device, on random images: the better of two, after one."""
    import time

    import torch

    from ebreplicate import cost
    from ebreplicate.models import build
    from ebreplicate.plan.spec import Recipe
    from ebreplicate.training import lowprecision
    from ebreplicate.training.loop import Trainer

    model, dataset, width, batch, precision = name
    info = INFO[dataset]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = _trial_batch(batch, info.side)
    network = build(model, info.classes, width, shape=info.shape)
    network.to(device).to(memory_format=torch.channels_last)
    trainer = Trainer(network, Recipe(), precision, lowprecision.hooks(precision, seed=0))
    x = torch.randn(batch, *info.shape, device=device).contiguous(memory_format=torch.channels_last)
    y = torch.randint(info.classes, (batch,), device=device)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        trainer.step(x, y).item()  # waits for the device
        times.append(time.perf_counter() - began)
    return min(times[1:]) / cost.training_flops(cost.flops(network, info.shape), batch, 1)


def _named(name: Network) -> str:
    model, dataset, width, _, precision = name
    return f"{sized(model, width)} on {dataset} ({precision})"


def describe(scale: Scale, results: Path, items: Sequence[str] = ()) -> str:
    """Runs per stage and how many are done, epochs with and without sharing, FLOPs, estimated hours; of all items, or
    the named ones."""
    items = items or list(EXPERIMENTS)
    store, plan = Store(results), Plan(requests(scale, items))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for spec in plan.runs.values():
        counts[spec.stage][0] += 1
        counts[spec.stage][1] += store.done(spec)
    shared, alone = sum(map(epochs_of, plan.runs.values())), epochs_unshared(scale, items)
    lines = [f"scale {scale.name}: {scale.note.strip()}", ""]
    lines += [f"{stage:8} {counts[stage][0]:6} runs, {counts[stage][1]} done" for stage in STAGES if stage in counts]
    saved = f" ({alone / shared:.1f}x)" if shared else ""
    graphs = [s for s in plan.stage(GraphTickets) if not store.done(s)]
    lines += [f"{'':8} (runs over graphs take seconds each and are in none of the figures below)"] * bool(graphs)
    lines += ["", f"training epochs: {shared:,} with shared searches, {alone:,} without{saved}"]
    flops = planned_flops(plan, store)
    total = sum(planned for planned, _ in flops.values())
    lines.append(f"training FLOPs:  {total:.3g} (3 x forward x images x epochs; masked channels cost nothing)")
    known = _finished_speeds(store, plan)
    speed = known | _trial_speeds(name for name in flops if name not in known)
    hours, left = (sum(flops[n][i] * speed[n] for n in flops) / 3600 for i in (0, 1))
    how = "finished searches" if set(known) >= set(flops) else "a trial of three steps a network on this device"
    lines.append(f"estimated:       {left:,.1f} hours left of {hours:,.1f}, one run at a time (speed: {how})")
    heavy = sorted(flops, key=lambda name: -flops[name][1] * speed[name])[:3]
    parts = [f"{_named(n)} {flops[n][1] * speed[n] / 3600:,.0f}" for n in heavy if flops[n][1]]
    if parts and len(flops) > len(parts):
        lines.append(f"most of it:      {', '.join(parts)} hours; `--items` plans a part")
    return "\n".join(lines)


def list_runs(scale: Scale, results: Path, items: Sequence[str] = ()) -> str:
    """One line a run: stage, key, done or not, canonical spec; each spec can be given to its stage's command."""
    store = Store(results)
    rows: list[str] = []
    for spec in Plan(requests(scale, items)).runs.values():
        state = "done" if store.done(spec) else "-"
        rows.append(f"{spec.stage}\t{key(spec)}\t{state}\t{canonical(spec)}")
    return "\n".join(rows)
