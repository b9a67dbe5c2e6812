"""Remove a finished run, with the tables, figures and comparisons made of it, so that it is trained again. No torch.

Deleting its folder alone repeats nothing: a table newer than its records is up to date for Snakemake.
"""

import contextlib
import difflib
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from ebreplicate.errors import UserError, shown
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.planner import requests
from ebreplicate.files import regular_text
from ebreplicate.specs.fields import Spec
from ebreplicate.specs.graph import Plan, lineage
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.specs.spec import from_json, key
from ebreplicate.store import locks
from ebreplicate.store.store import figures_root, read_record


def _folder(name: str, results: Path) -> Path:
    """Folder of the run called `name`; raises UserError where there is none, and while it is being trained."""
    found = {path.name: path for path in (results / "runs").glob("*/*") if path.is_dir()}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"`ls {results}/runs/*` lists them"
        raise UserError(f"run: {results} has none called {shown(name)}; {hint}")
    if not locks.free(found[name]) or not locks.free(found[name], locks.AGAIN):
        raise UserError(f"run: another process is training {name}; stop that first")
    return found[name]


def made_of(names: set[str], results: Path, overrides: dict[str, object]) -> list[Path]:
    """Tables, figures and comparisons that exist and that are made from a run of one of these names."""
    found: list[Path] = []
    for scale in SCALES:
        loaded = load_scale(scale, overrides=overrides)
        items = [i for i in (*EXPERIMENTS, *EXPERIMENTS.parts) if names & Plan(requests(loaded, [i])).runs.keys()]
        found += [results / "tables" / scale / f"{item}.csv" for item in items]
        found += [figures_root(results) / scale / f"{item}.svg" for item in items]
        found += [results / "comparison" / f"{scale}{end}" for end in (".csv", "_claims.csv", ".md") if items]
    return [path for path in found if path.is_file()]


def _named_after(names: Collection[str], results: Path) -> list[str]:
    """Finished runs whose training is recorded under one of these names: without it they are numbers without a run."""
    found = []
    for path in (results / "runs" / "retrain").glob("*/record.json"):
        with contextlib.suppress(UserError):  # `verify` says what is wrong with it
            if read_record(path, path.parent.name).get("trained_as") in names:
                found.append(path.parent.name)
    return sorted(found)


def _builds_on(names: set[str], results: Path) -> int:
    """Finished runs that build on one of these names, and are none of them."""
    count = 0
    for path in (results / "runs").glob("*/*/spec.json"):
        if path.parent.name in names or not (path.parent / "record.json").is_file():
            continue
        try:
            spec: Spec = from_json(regular_text(path))
        except (OSError, ValueError, UserError):  # `verify` says what is wrong with it
            continue
        count += any(key(s) in names for s in lineage(spec))
    return count


def forget(names: Iterable[str], results: Path, overrides: dict[str, object]) -> str:
    """Remove the runs called `names` and what was made of them; what was done, to print.

    Other names of a forgotten training go with it. Nothing is removed where one of the names is unknown or being
    trained (UserError). Runs that build on a forgotten one stay: they are repeated only if they are named too.
    """
    asked = list(names)
    folders = {name: _folder(name, results) for name in [*asked, *_named_after(asked, results)]}
    made = made_of(set(folders), results, overrides)
    for path in [*made, *(folder / "record.json" for folder in folders.values())]:
        path.unlink(missing_ok=True)  # the record first: a folder without it is an unfinished run
    for folder in folders.values():
        shutil.rmtree(folder)
    lines = [f"removed {path}" for path in [*folders.values(), *made]]
    others = _builds_on(set(folders), results)
    if others:
        lines.append(f"{others} finished runs build on what was removed; they stay as they are")
    return "\n".join(lines)
