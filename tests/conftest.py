"""What every test runs under: one thread, and hypothesis examples that are the same on every machine."""

import os

import pytest
import torch
from hypothesis import settings
from synthetic import items_alone

from ebreplicate.store import locks

torch.set_num_threads(1)
settings.register_profile("suite", deadline=None, derandomize=True, database=None, max_examples=40)
settings.register_profile("explore", deadline=None, max_examples=400)  # pytest --hypothesis-profile=explore
settings.load_profile("suite")

COUNTED = ("fig1_existence", "fig3_mask_distance", "table1_schedules", "detector_study", "structural_costs")


def pytest_collection_modifyitems(items):
    """The longest first, so that no core is left with one of them when the others have nothing to do."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


@pytest.fixture
def counted_items(monkeypatch):
    """Only the items whose runs are counted by hand in more than one test; further ones count their own."""
    items_alone(monkeypatch, *COUNTED)


@pytest.fixture(scope="session")
def small_site(tmp_path_factory):
    """Folder of a site over a few hundred synthetic records, made once for all processes of a run; do not modify."""
    import sites

    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small"
    root.mkdir(exist_ok=True)
    with locks.held(root, wait=True):
        if not (root / "made").exists():
            sites.make(root)
            (root / "made").touch()
    return root / "site"
