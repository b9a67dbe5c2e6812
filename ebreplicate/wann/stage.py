"""The stage `wann`: search if asked to, test the champion, save one record. A search goes on from its checkpoint."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ebreplicate import interrupt
from ebreplicate.files import CHECKPOINT, atomic_write, regular_text, strict_json
from ebreplicate.interrupt import Interrupted
from ebreplicate.specs.spec import key
from ebreplicate.store.store import Store
from ebreplicate.wann.digits import Digits
from ebreplicate.wann.genome import Genome
from ebreplicate.wann.released import champion
from ebreplicate.wann.search import Search, Settings, Task
from ebreplicate.wann.spec import WeightAgnostic
from ebreplicate.wann.swingup import SwingUp

EVERY = 60.0
"""Seconds between two checkpoints."""
SEARCHED, TESTED, SPLIT = range(3)
"""Streams of random numbers of a seed."""


def stream(spec: WeightAgnostic, purpose: int) -> np.random.Generator:
    """Random numbers of a run for one purpose."""
    return np.random.default_rng([spec.seed, purpose])


def run(spec: WeightAgnostic, store: Store) -> dict[str, Any]:
    """Run the spec on the CPU and save its record: scores and tuned weight, the champion, and rows by generation."""
    from ebreplicate.runner.record import save_record  # imports torch

    started, clock = time.time(), time.perf_counter()
    task: Task = SwingUp(spec.cases) if spec.task == "swing-up" else Digits(spec.cases, stream(spec, SPLIT))
    checkpoint = store.folder(spec) / CHECKPOINT
    best, history, before = champion(), list[dict[str, Any]](), 0.0
    metrics: dict[str, Any] = {"generations": spec.generations}
    if spec.generations:
        search, before = searched(spec, task, checkpoint)
        assert search.champion is not None  # of the first generation, at least
        best, history = search.champion, search.history
        metrics["fitness"] = search.best
    scores, sweep = task.test(best, spec.tests, stream(spec, TESTED))
    metrics |= {"score": scores, "connections": best.connections, "hidden": len(best.activations)}
    metrics["champion"] = json.dumps(best.to_json(), separators=(",", ":"))
    seconds = round(before + time.perf_counter() - clock, 3)
    cost = {"training_flops": {"authors": float(task.macs)}, "seconds": seconds}
    by_weight = [{"weight": weight, "score": score} for weight, score in sweep.items()]
    record = save_record(spec, store, "ok", metrics, cost, started, history=history, evaluations=by_weight)
    checkpoint.unlink(missing_ok=True)
    return record


def searched(spec: WeightAgnostic, task: Task, checkpoint: Path) -> tuple[Search, float]:
    """The finished search, and the seconds that it took before this process went on with it.

    Raises Interrupted, after a checkpoint, where the process was asked to stop.
    """
    settings = Settings(spec.population, spec.elite, spec.tournament, spec.initial)
    search, before = resumed(spec, task, settings, checkpoint) or (Search(task, settings, stream(spec, SEARCHED)), 0.0)
    began = saved = time.perf_counter()
    while len(search.history) < spec.generations:
        stop = interrupt.wanted()
        if stop or time.perf_counter() - saved > EVERY:
            saved = time.perf_counter()
            save(spec, search, before + saved - began, checkpoint)
            done = f"{key(spec)}: generation {len(search.history)} of {spec.generations}"
            if stop:
                raise Interrupted(f"{done}: stopped, its checkpoint is kept")
            print(f"{done}, best fitness {search.best:.4g}", file=sys.stderr)
        search.advance()
    return search, before


def save(spec: WeightAgnostic, search: Search, seconds: float, checkpoint: Path) -> None:
    """Write the state of a search, atomically; `seconds`: what it has taken so far."""
    state = {
        "key": key(spec),
        "population": [genome.to_json() for genome in search.population],
        "champion": search.champion and search.champion.to_json(),
        "best": search.best if search.champion else None,
        "history": search.history,
        "randomness": search.randomness.bit_generator.state,
        "macs": search.task.macs,
        "seconds": seconds,
    }
    atomic_write(checkpoint, json.dumps(state, allow_nan=False))


def resumed(spec: WeightAgnostic, task: Task, settings: Settings, checkpoint: Path) -> tuple[Search, float] | None:
    """The search of a checkpoint, and the seconds it had taken; None without one. A damaged or foreign one is discarded
    with a line: a search can start over."""
    try:
        state = strict_json(regular_text(checkpoint))
        if state["key"] != key(spec):
            raise ValueError("of another run")
        randomness = stream(spec, SEARCHED)
        randomness.bit_generator.state = state["randomness"]
        best = state["champion"] and Genome.from_json(state["champion"])
        search = Search(
            task,
            settings,
            randomness,
            [Genome.from_json(one) for one in state["population"]],
            best,
            state["best"] if best else -np.inf,
            state["history"],
        )
        task.macs = state["macs"]
        return search, float(state["seconds"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as e:
        print(f"{checkpoint}: checkpoint discarded ({type(e).__name__}: {e}); starting over", file=sys.stderr)
        return None
