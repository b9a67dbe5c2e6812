"""What a scale would run, said before anything runs. No torch until the counts have been given."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ebreplicate.catalog import OWN_STAGES
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.planner import requests
from ebreplicate.report import estimate
from ebreplicate.report.estimate import Network, network_of
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import Plan, epochs_of, lineage, search_of
from ebreplicate.specs.scale import Scale
from ebreplicate.specs.spec import STAGES, Alone, Retrain, Ticket, canonical, key
from ebreplicate.store.store import Store


def epochs_unshared(scale: Scale, items: Iterable[str] = EXPERIMENTS) -> int:
    """Training epochs if every run that an item asks for began from scratch, as separate scripts would."""
    return sum(epochs_of(run) for item in items for spec in requests(scale, [item]) for run in lineage(spec))


def flops_of(spec: Spec) -> float:
    """Training FLOPs of a run (authors' convention), as far as planning can know them.

    A network without channels is counted as dense times (1 - ratio), one under a mask over weights as dense. Runs over
    graphs, of seconds each, are left out.
    """
    from ebreplicate import cost

    model, dataset, width, *_ = network_of(spec)
    share = 1 - spec.ticket.ratio if isinstance(spec, Retrain) and not spec.ticket.over_weights else 1
    flops = estimate.dense_flops(model, dataset, width) * share
    return cost.training_flops(flops, search_of(spec).train_images, epochs_of(spec))


def planned_flops(plan: Plan, store: Store) -> dict[Network, tuple[float, float]]:
    """Training FLOPs (authors' convention) per network: of all runs, and of those not done."""
    total: dict[Network, tuple[float, float]] = {}
    for spec in (s for s in plan.runs.values() if not isinstance(s, Alone)):
        flops = flops_of(spec)
        planned, left = total.get(network_of(spec), (0.0, 0.0))
        total[network_of(spec)] = planned + flops, left + (0.0 if store.done(spec) else flops)
    return total


def describe(
    scale: Scale,
    results: Path,
    items: Sequence[str] = (),
    device: str = "auto",
    threads: int = 1,
    say: Callable[[str], object] = lambda _: None,
) -> Iterator[str]:
    """Lines about all items or the named ones: runs and epochs at once, then FLOPs and estimated times.

    `device`: auto, cpu and cuda are this machine's, timed on `threads` CPU threads; a name of `estimate.RATES` is a GPU
    that need not be here. `say` is given a line before each trial.
    """
    items = items or list(EXPERIMENTS)
    store, plan = Store(results), Plan(requests(scale, items))
    yield from _counts(scale, items, plan, store)
    flops = planned_flops(plan, store)
    total = sum(planned for planned, _ in flops.values())
    yield f"training FLOPs:  {total:.3g} (3 x forward x images x epochs; masked channels cost nothing)"
    speed, how = _speeds(flops, plan, store, device, threads, say)
    yield from _times(plan, store, speed, how)
    yield from _per_item(scale, items, store, speed)
    yield from _without_estimate(plan, store, speed)


def _counts(scale: Scale, items: Sequence[str], plan: Plan, store: Store) -> Iterator[str]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for spec in plan.runs.values():
        counts[spec.stage][0] += 1
        counts[spec.stage][1] += store.done(spec)
    shared, alone = sum(map(epochs_of, plan.runs.values())), epochs_unshared(scale, items)
    yield from (f"scale {scale.name}: {scale.note.strip()}", "")
    yield from (
        f"{stage:8} {counts[stage][0]:6} runs, {counts[stage][1]} done"
        for stage in (*STAGES, *OWN_STAGES)
        if stage in counts
    )
    saved = f" ({alone / shared:.1f}x)" if shared else ""
    yield from ("", f"training epochs: {shared:,} with shared searches, {alone:,} without{saved}")


def _speeds(
    networks: Iterable[Network], plan: Plan, store: Store, device: str, threads: int, say: Callable[[str], object]
) -> tuple[dict[Network, float], str]:
    """Seconds per FLOP of every network that can be estimated, and where they come from."""
    if device in estimate.RATES:
        return estimate.rated_speeds(networks, device), f"the stated rate of one {device}, not measured"
    import torch

    gpu = device != "cpu" and torch.cuda.is_available()
    known = estimate.finished_speeds(store, plan)
    tried = estimate.trial_speeds((n for n in networks if n not in known), gpu, threads, say)
    trial = f"a trial on this device, {threads} CPU thread{'s' * (threads > 1)} a run"
    return known | tried, trial if tried else "finished searches"


def _seconds(spec: Spec, speed: dict[Network, float]) -> float:
    """Of a run, its start included; a draw takes a fraction of a second."""
    if isinstance(spec, (Ticket, Alone)) or network_of(spec) not in speed:
        return 0.0
    return estimate.START_SECONDS + flops_of(spec) * speed[network_of(spec)]


def _times(plan: Plan, store: Store, speed: dict[Network, float], how: str) -> Iterator[str]:
    whole = left = 0.0
    heavy: dict[str, float] = defaultdict(float)
    for spec in plan.runs.values():
        seconds = _seconds(spec, speed)
        whole += seconds
        if not store.done(spec):
            left += seconds
            if seconds:
                heavy[estimate.named(network_of(spec))] += seconds
    if speed:
        missing = estimate.duration(left) if left else "nothing"
        yield f"estimated:       {missing} left of {estimate.duration(whole)}, one run at a time (speed: {how})"
    most = sorted(heavy, key=lambda name: -heavy[name])[:3]
    parts = [f"{name} {estimate.duration(heavy[name])}" for name in most if heavy[name]]
    if parts and len(heavy) > len(parts):
        yield f"most of it:      {', '.join(parts)}"


def _per_item(scale: Scale, items: Sequence[str], store: Store, speed: dict[Network, float]) -> Iterator[str]:
    """Time left of each item; runs that items share are counted at the first."""
    if len(items) < 2:
        return
    seen: set[str] = set()
    for item in items:
        runs = {k: s for k, s in Plan(requests(scale, [item])).runs.items() if k not in seen and not store.done(s)}
        seen |= runs.keys()
        seconds = sum(_seconds(spec, speed) for spec in runs.values())
        trained = sum(spec.stage != "draw" for spec in runs.values())
        if seconds:
            yield f"  {item:20} {trained:6} trainings, {estimate.duration(seconds)}"


def _without_estimate(plan: Plan, store: Store, speed: dict[Network, float]) -> Iterator[str]:
    trained = [s for s in plan.runs.values() if not isinstance(s, (Ticket, Alone))]
    left = [s for s in trained if not store.done(s) and network_of(s) not in speed]
    if left:
        names = " and ".join(sorted({search_of(spec).dataset for spec in left}))
        yield f"no estimate:     {len(left)} trainings on {names}, which take a GPU; `--device h200` counts by its rate"
    batches = {n[3] for n in map(network_of, trained) if n[1] == "imagenet" and n[3] > 1024}
    if batches:
        several = f"ImageNet in batches of {max(batches):,} fits no single GPU: processes (docs/imagenet.md)"
        yield f"memory:          {several}"


def list_runs(scale: Scale, results: Path, items: Sequence[str] = ()) -> str:
    """One line a run: stage, key, done or not, canonical spec; each spec can be given to its stage's command."""
    store = Store(results)
    rows: list[str] = []
    for spec in Plan(requests(scale, items)).runs.values():
        state = "done" if store.done(spec) else "-"
        rows.append(f"{spec.stage}\t{key(spec)}\t{state}\t{canonical(spec)}")
    return "\n".join(rows)
