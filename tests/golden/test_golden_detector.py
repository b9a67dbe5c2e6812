"""The detector fires where the authors' loop fires, check by check."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ebreplicate.pruning import EarlyBird, emergence_epoch, global_mask

DATA = Path(__file__).parent / "data"
GOLDEN = json.loads((DATA / "detector.json").read_text())
cases = pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: f"{g['trajectory']}-r{g['ratio']}")


@pytest.fixture(scope="module")
def trajectories():
    with np.load(DATA / "detector.npz") as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


@cases
def test_detector_equals_the_authors_at_every_check(golden, trajectories):
    gammas = trajectories[f"gamma_{golden['trajectory']}"]
    detector = EarlyBird(golden["ratio"])

    assert [int(global_mask(row.abs(), golden["ratio"]).sum()) for row in gammas] == golden["kept_per_epoch"]
    assert [detector.update(row) for row in gammas] == golden["emerged_per_epoch"]
    assert detector.first == golden["first_emergence_index"]


@cases
def test_emergence_epoch_of_a_finished_search_is_the_authors(golden, trajectories):
    gammas = trajectories[f"gamma_{golden['trajectory']}"]
    after_the_last_epoch = torch.rand_like(gammas[:1])  # never asked, as in the authors' loop
    assert (
        emergence_epoch(torch.cat([gammas, after_the_last_epoch]), golden["ratio"]) == golden["first_emergence_index"]
    )


def test_golden_trajectories_cover_both_outcomes():
    first = [g["first_emergence_index"] for g in GOLDEN]
    assert len(GOLDEN) == 30
    assert any(f is None for f in first)
    assert any(f is not None for f in first)
