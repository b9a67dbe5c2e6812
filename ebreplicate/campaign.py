"""The campaign: a scale's runs in the order that answers the most cells first, within a time budget.

Snakemake enumerates everything and runs it in whatever order its graph allows; a campaign is for a device at hand for a
limited time. Runs are taken one after another by each worker, in the same results folder Snakemake uses, so either can
go on where the other stopped. Several campaigns may share a folder: a run belongs to whoever holds its lock.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.plan.plan import Plan, parents, requests, search_of
from ebreplicate.plan.scale import Scale
from ebreplicate.plan.spec import Spec, canonical, key
from ebreplicate.records import Store
from ebreplicate.training import interruption
from ebreplicate.training.interruption import CONTINUE

ORDER = ("fig1_existence", "table2", "detector_study")
"""Items whose runs go first; the rest follow in the registry's order."""
STAGE_RANK = {"draw": 0, "retrain": 1, "search": 2, "sparse": 2}
"""Within one panel: what is nearly answered before what has just begun."""
POLL_SECONDS = 2.0


def ordered(scale: Scale, items: Iterable[str]) -> tuple[Plan, list[Spec]]:
    """The plan of `items`, and its runs in campaign order: by seed, then VGG16 first, CIFAR-10 first, then item."""
    names = sorted(items, key=lambda i: ORDER.index(i) if i in ORDER else len(ORDER))
    rank: dict[str, int] = {}  # by key
    for number, item in enumerate(names):
        for name in Plan(requests(scale, [item])).runs:
            rank.setdefault(name, number)
    plan = Plan(requests(scale, names))

    def place(spec: Spec) -> tuple[Any, ...]:
        root = search_of(spec)
        return root.seed, not root.model.startswith("vgg"), root.dataset, rank[key(spec)], STAGE_RANK[spec.stage]

    return plan, sorted(plan.runs.values(), key=place)


def work(scale: Scale, items: list[str], results: Path, data: Path, device: str, threads: int, until: float) -> int:
    """One worker: take the first run that is ready, until the time `until` (seconds of the clock) or the end.

    Returns 0 when everything is done, CONTINUE when time ran out, 1 when a run failed.
    """
    store = Store(results)
    plan, runs = ordered(scale, items)
    failed: set[str] = set()
    while True:
        waiting = False
        for spec in runs:
            name = key(spec)
            if name in failed or store.done(spec):
                continue
            if time.time() >= until or interruption.wanted():
                return CONTINUE
            if any(key(p) in failed for p in parents(spec)):
                failed.add(name)
                waiting = True  # what builds on this one, and stands earlier, has still to learn of it
                continue
            if any(not store.done(p) for p in parents(spec)):
                waiting = True
                continue
            outcome = _locked(spec, plan, store, data, device, threads, until)
            if outcome is None:  # another worker has it
                waiting = True
                continue
            if outcome == CONTINUE:
                return CONTINUE
            if outcome:
                failed.add(name)
            break
        else:
            if not waiting:
                return 1 if failed else 0
            time.sleep(POLL_SECONDS)


def _locked(spec: Spec, plan: Plan, store: Store, data: Path, device: str, threads: int, until: float) -> int | None:
    """Run one spec as its own command while holding its lock; its exit code, or None if the lock is taken."""
    folder = store.folder(spec)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        if store.done(spec):
            return 0
        return _command(spec, plan, store, data, device, threads, until)


def _command(spec: Spec, plan: Plan, store: Store, data: Path, device: str, threads: int, until: float) -> int:
    name = key(spec)
    argv = [spec.stage, canonical(spec), "--results", str(store.root), "--data", str(data), "--device", device]
    argv += ["--threads", str(threads), "--time-limit", f"{max(1.0, until - time.time()):.0f}"]
    if name in plan.keep:
        argv += plan.keep[name].flags.split()
    log = store.root / "logs" / spec.stage / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("a") as out:
        code = subprocess.run(
            [sys.executable, "-m", "ebreplicate", *argv], stdout=out, stderr=out, check=False
        ).returncode
    word = {0: "done", CONTINUE: "stopped, to be continued"}.get(code, f"FAILED ({code}), see {log}")
    print(f"{time.strftime('%H:%M:%S')} {spec.stage} {name}: {word}, {time.monotonic() - began:.0f} s", flush=True)
    return code


def run(
    scale: Scale, items: list[str], results: Path, data: Path, device: str, workers: int, threads: int, budget: float
) -> int:
    """Work through a scale with `workers` processes for at most `budget` seconds; 0, CONTINUE or 1 as `work`.

    Raises UserError for a number of workers or a budget that is not positive.
    """
    if workers < 1:
        raise UserError(f"--workers: must be at least 1, got {workers}")
    if not budget > 0:
        raise UserError(f"--budget: must be positive, got {budget:g} hours")
    Store(results).check_writable()
    until = time.time() + budget
    os.environ["EBREPLICATE_WARM"] = os.environ.get("EBREPLICATE_WARM", "1")
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, lambda *_: interruption.request())
            os._exit(work(scale, items, results, data, device, threads, until))
        children.append(child)

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return 1 if any(c not in (0, CONTINUE) for c in codes) else max(codes)
