"""The manifest: every planned run by its key, for commands that are given a key. No torch."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from ebreplicate.catalog import FOLDERS
from ebreplicate.errors import UserError
from ebreplicate.files import atomic_write, regular_text, strict_json
from ebreplicate.specs.graph import Plan, root_of
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import canonical

NAME = "manifest.jsonl"
"""File under the results root: one line a run, its key first."""
LARGEST = 256 << 20
"""Bytes of a manifest that is read."""


@dataclass
class Planned:
    """A run as canonical JSON, the checkpoints it must save, and the processes it trains in."""

    text: str
    keep: Keep = field(default_factory=Keep)
    processes: int = 1


def write(plan: Plan, results: Path, processes: int = 1) -> None:
    """Write the runs of a plan to <results>/manifest.jsonl. Those that stream images train in `processes` processes."""
    lines = []
    for name, spec in plan.runs.items():
        keep = json.dumps(plan.keep.get(name, Keep()).to_dict())
        several = processes if root_of(spec).dataset in FOLDERS else 1
        lines.append(f'{{"key":"{name}","keep":{keep},"processes":{several},"run":{canonical(spec)}}}\n')
    atomic_write(results / NAME, "".join(lines))


def find(key: str, results: Path) -> Planned | None:
    """The run called `key`; None if the manifest has no such run, or there is none.

    Raises UserError for one that is damaged, or of another version.
    """
    path = results / NAME
    try:
        text = "\n" + regular_text(path, LARGEST)
        # Jobs ask for many keys, and the manifest of all scales is 11 MB: only the line that is asked for is parsed.
        at = text.find(f'\n{{"key":{json.dumps(key)},')
        if at < 0:
            return None
        entry = strict_json(text[at + 1 :].partition("\n")[0])
        return Planned(json.dumps(entry["run"]), Keep.from_dict(entry["keep"]), int(entry["processes"]))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        said = f"{type(e).__name__}: {e}"
        raise UserError(f"{path}: not as this version writes it ({said}); delete it, Snakemake makes it anew") from None
