"""How long runs take: the speed of finished searches, a short trial on this device, or a GPU's stated rate."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache

from ebreplicate.catalog import INFO
from ebreplicate.errors import unknown
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import Plan, search_of
from ebreplicate.specs.spec import LOW_PRECISIONS, Retrain, Search, sized
from ebreplicate.store.store import Store

Network = tuple[str, str, float, int, str]
"""What decides how fast a run trains: model, dataset, width, batch size, precision."""
START_SECONDS = 5.0
"""Of a process before its first step: Python, torch, data. Estimated on two cores of 2020."""
RATES = {
    "h200": {"fp32": 25e12, "tf32": 70e12, "bf16": 130e12},
    "h100": {"fp32": 25e12, "tf32": 65e12, "bf16": 110e12},
    "a100": {"fp32": 8e12, "tf32": 25e12, "bf16": 45e12},
    "v100": {"fp32": 7e12, "tf32": 7e12, "bf16": 7e12},
    "rtx4090": {"fp32": 25e12, "tf32": 25e12, "bf16": 40e12},
}
"""Training FLOPs a second (authors' convention) that `plan --device` assumes: not measured. About two fifths of a data
sheet's peak in fp32 and an eighth in tf32 and bf16, where memory bounds small images; narrow networks reach less."""
LOW_PRECISION_SHARE = 0.1
"""Of the fp32 rate in eight bits, whose rounding is emulated."""
TRIAL_SECONDS, TRIAL_FLOPS = 0.3, 2e9
GPU_BATCH, GPU_BATCH_LARGE = 256, 64
"""Images of a trial step on a GPU, at most: of up to 64x64, and larger ones (a batch of 4,096 fits no single GPU)."""
DEVICES = ("auto", "cpu", "cuda", *RATES)


def network_of(spec: Spec) -> Network:
    """What decides the speed of a run."""
    search = search_of(spec)
    batch = spec.recipe.batch_size if isinstance(spec, Retrain) else search.recipe.batch_size
    precision = spec.precision if isinstance(spec, Retrain) else search.precision
    return search.model, search.dataset, search.width, batch, precision


def named(name: Network) -> str:
    """A network as the plan prints it."""
    model, dataset, width, _, precision = name
    return f"{sized(model, width)} on {dataset} ({precision})"


@cache
def dense_flops(model: str, dataset: str, width: float) -> float:
    """Forward FLOPs of one image through a dense network, authors' convention."""
    from ebreplicate import cost
    from ebreplicate.models import build

    info = INFO[dataset]
    return cost.flops(build(model, info.classes, width, shape=info.shape), info.shape)


def finished_speeds(store: Store, plan: Plan) -> dict[Network, float]:
    """Median seconds per FLOP of finished searches, per network."""
    found: dict[Network, list[float]] = defaultdict(list)
    for spec in plan.stage(Search):
        record = store.read(spec)
        if record and record["status"] == "ok":
            found[network_of(spec)].append(record["cost"]["seconds"] / record["cost"]["training_flops"]["authors"])
    return {name: statistics.median(values) for name, values in found.items()}


def rated_speeds(networks: Iterable[Network], device: str) -> dict[Network, float]:
    """Seconds per FLOP by a GPU's stated rate; raises UserError for a GPU without one."""
    if device not in RATES:
        raise unknown("--device", device, DEVICES)
    rates = RATES[device]
    low = rates["fp32"] * LOW_PRECISION_SHARE
    return {name: 1 / (low if name[4] in LOW_PRECISIONS else rates[name[4]]) for name in networks}


def feasible(name: Network, gpu: bool) -> bool:
    """Whether an estimate means anything: ImageNet on a CPU would take decades."""
    return gpu or name[1] != "imagenet"


def trial_speeds(
    networks: Iterable[Network], gpu: bool, threads: int, say: Callable[[str], object] = lambda _: None
) -> dict[Network, float]:
    """Seconds per FLOP of each network that this device can train, by a trial on `threads` CPU threads, as runs get.

    One trial for all that are equally fast. `say` is given a line before each.
    """
    tried: dict[tuple[object, ...], float] = {}
    found = {}
    for name in networks:
        model, dataset, width, _, precision = name
        if not feasible(name, gpu):
            continue
        like = model, INFO[dataset].shape, width, trial_batch(name, gpu), precision
        if like not in tried:
            say(f"timing {named(name)}")
            tried[like] = trial_speed(name, gpu, threads)
        found[name] = tried[like]
    return found


def trial_batch(name: Network, gpu: bool) -> int:
    """Images of a trial step: on a CPU as many as take about a second, at most the recipe's batch."""
    model, dataset, width, batch, _ = name
    if gpu:
        return min(batch, GPU_BATCH if INFO[dataset].side <= 64 else GPU_BATCH_LARGE)
    return min(batch, max(2, int(TRIAL_FLOPS / (3 * dense_flops(model, dataset, width)))))


def trial_speed(name: Network, gpu: bool, threads: int) -> float:
    """Seconds per FLOP of a network's training steps, with as many images in a batch as the device's memory holds."""
    import torch

    from ebreplicate.training import device

    batch = trial_batch(name, gpu)
    with device.threads(threads):
        while True:
            try:
                return time_steps(name, batch, torch.device("cuda" if gpu else "cpu"))
            except torch.OutOfMemoryError:
                if batch <= 2:
                    raise
                batch //= 2


def time_steps(name: Network, batch: int, device: object) -> float:
    """Seconds per FLOP of steps of `batch` random images on a torch.device: the median of some, after one."""
    import torch

    from ebreplicate import cost
    from ebreplicate.models import build
    from ebreplicate.specs.spec import Recipe
    from ebreplicate.training import lowprecision
    from ebreplicate.training.loop import Trainer

    assert isinstance(device, torch.device)
    model, dataset, width, _, precision = name
    info = INFO[dataset]
    network = build(model, info.classes, width, shape=info.shape)
    network.to(device).to(memory_format=torch.channels_last)
    trainer = Trainer(network, Recipe(), precision, lowprecision.hooks(precision, seed=0))
    x = torch.randn(batch, *info.shape, device=device).abs().contiguous(memory_format=torch.channels_last)
    y = torch.randint(info.classes, (batch,), device=device)
    trainer.step(x, y).item()  # the first step imports and allocates; item() waits for the device
    # On a CPU the processor's time, which other programs on a busy machine do not lengthen.
    clock, share = (time.perf_counter, 1) if device.type == "cuda" else (time.process_time, torch.get_num_threads())
    times: list[float] = []
    while sum(times) < TRIAL_SECONDS:
        began = clock()
        trainer.step(x, y).item()
        times.append((clock() - began) / share)
    return statistics.median(times) / cost.training_flops(dense_flops(model, dataset, width), batch, 1)


def duration(seconds: float) -> str:
    """A time with two significant digits, for example "7 min", "26 h" or "12,000 h (1.4 years)"."""
    hours = seconds / 3600
    if hours < 1.5:
        return f"{max(1, _two_digits(seconds / 60))} min"
    years = f" ({_years(hours / 8766)} years)" if hours > 8766 else ""
    return f"{hours:.1f} h" if hours < 10 else f"{_two_digits(hours):,} h{years}"


def _years(years: float) -> str:
    return f"{years:.1f}" if years < 10 else f"{_two_digits(years):,}"


def _two_digits(value: float) -> int:
    return round(float(f"{value:.2g}"))
