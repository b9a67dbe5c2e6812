"""Arrays of a run that was trained under another name are those of that run."""

import numpy as np
import pytest
from helpers import tiny_search

from ebreplicate.errors import UserError
from ebreplicate.specs.spec import Retrain, Ticket, key
from ebreplicate.store.store import Store

SEARCH = tiny_search()
TRAINED, NAMED = (Retrain(Ticket(SEARCH, 0.5, at), SEARCH.recipe) for at in (1, "eb"))
RECORD = {
    "status": "ok",
    "metrics": {"epochs": 1, "last_accuracy": 50.0, "best_accuracy": 50.0},
    "cost": {"training_flops": {"authors": 1.0}, "seconds": 1.0},
    "provenance": {},
}


def test_an_array_is_read_from_the_run_that_was_trained(tmp_path):
    store = Store(tmp_path)
    path = store.folder(TRAINED) / "correct.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.array([3, 5], np.uint8))
    store.write(TRAINED, RECORD)
    store.write(NAMED, RECORD | {"trained_as": key(TRAINED)})
    assert not (store.folder(NAMED) / "correct.npy").exists()
    assert store.part(NAMED, "correct.npy", axes=1).tolist() == [3, 5]
    np.save(path, np.array([3, 6], np.uint8))
    with pytest.raises(UserError, match="its SHA-256 is not the record's"):
        store.part(NAMED, "correct.npy", axes=1)
