"""What holds of committed records, and of what the docs quote from them, beyond what `ebreplicate verify` looks at."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ebreplicate.pruning import emergence_epoch, global_mask, mask_distance
from ebreplicate.specs import spec as specs
from ebreplicate.store.store import read_record

PROJECT = Path(__file__).parents[2]
ROOT = PROJECT / "results"


def test_every_committed_record_is_of_the_spec_beside_it():
    """And of committed code, those on digits as well, of which verify does not ask that."""
    smoke = re.compile(
        r"w0\.\d+-digits|gcn-blocks"
    )  # quick has digits too, for the network that is small at full width
    records = [p for p in sorted(ROOT.glob("runs/*/*/record.json")) if not smoke.search(p.parent.name)]
    assert records
    for path in records:
        spec = specs.from_json((path.parent / "spec.json").read_text())
        record = read_record(path, specs.key(spec))
        assert (path.parent.name, path.parent.parent.name) == (specs.key(spec), spec.stage)
        assert record["provenance"]["clean"] is True, path


def test_docs_say_what_bf16_changed():
    """Pairs of searches that differ in precision alone, and the table of docs/speed.md computed anew from them."""
    rows = re.findall(
        r"^\| (.*), seed (\d) \(`(\w+)`, `(\w+)`\) \| (.*) \|$", (PROJECT / "docs/speed.md").read_text(), re.M
    )
    assert len(rows) == 3
    for _, seed, *names, said in rows:
        folders = [next((ROOT / "runs/search").glob(f"*-{name}")) for name in names]
        plain, rounded = (specs.from_json((f / "spec.json").read_text()) for f in folders)
        assert replace(plain, precision="bf16") == rounded
        assert plain.seed == int(seed)
        records = [read_record(f / "record.json", f.name) for f in folders]
        scores = [torch.from_numpy(np.load(f / "scores.npy")).float() for f in folders]
        emerged = [[emergence_epoch(s, ratio) for ratio in (0.3, 0.5, 0.7)] for s in scores]
        apart = [mask_distance(*(global_mask(s[-1], ratio) for s in scores)) for ratio in (0.3, 0.5, 0.7)]
        assert said == " | ".join(
            [
                ", ".join(f"{r['metrics']['last_accuracy']:.2f} %" for r in records),
                " and ".join(", ".join(map(str, epochs)) for epochs in emerged),
                ", ".join(f"{d:.2f}" for d in apart),
            ]
        )
