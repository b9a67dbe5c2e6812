"""What a stage loads before it computes: the network, the images, and what earlier runs saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebreplicate.catalog import DISPLACEMENT_DRAWS, INFO
from ebreplicate.data import arrays as datasets
from ebreplicate.data.folders import FolderData
from ebreplicate.data.text import Text
from ebreplicate.errors import UserError
from ebreplicate.models import build
from ebreplicate.models.common import Network, initialised
from ebreplicate.models.factorised import factorise
from ebreplicate.specs import spec as specs
from ebreplicate.specs.fields import Spec
from ebreplicate.store.store import Store


@dataclass(frozen=True)
class Rows:
    """What a search recorded of every epoch, the untrained network first: |gamma|, (epochs + 1, N); and, for a ticket
    that needs them, Taylor scores, (epochs + 1, N), and the displacement of the weights, (epochs + 1, 3)."""

    scores: Tensor
    taylor: Tensor | None = None
    displacement: Tensor | None = None

    @property
    def importance(self) -> Tensor:
        """What channels are ranked by."""
        return self.scores if self.taylor is None else self.taylor


def network(search: specs.Training, seed: int | None = None, channels: list[int] | None = None) -> Network:
    """The network of a search on the CPU, initialised from `seed` (default: the search's)."""
    torch.manual_seed(search.seed if seed is None else seed)
    model = build(search.model, INFO[search.dataset].classes, search.width, channels, shape(search))
    model = initialised(model, search.weight_init)
    factors = search.factorised if isinstance(search, specs.Search) else None
    return factorise(model, factors.rank, factors.init) if factors else model


def shape(search: specs.Training) -> tuple[int, int, int]:
    """Shape of one image, (channels, side, side)."""
    return INFO[search.dataset].shape


def load_data(search: specs.Training, root: Path, device: torch.device) -> datasets.Data | FolderData | Text:
    """The run's images, or its text, on `device`."""
    sizes = (search.train_size, search.test_size, search.validation)
    data = datasets.load(search.dataset, root, *sizes, search.standardise, search.sequence)
    return data.to(device)


def load_scores(search_spec: specs.Search, store: Store) -> Tensor:
    """Scores (epochs + 1, N) that a search left. Raises UserError where they cannot be read."""
    return _scores(search_spec, store, "scores.npy")


def _scores(search_spec: specs.Search, store: Store, name: str) -> Tensor:
    found = store.part(search_spec, name, axes=2)
    if found.dtype != np.float32:
        raise UserError(f"{name} of search {specs.key(search_spec)}: not float32; delete its folder to run it again")
    return torch.from_numpy(found)


def load_rows(spec: specs.Ticket, store: Store) -> Rows:
    """The rows that a ticket is drawn by, which must be on disk. Raises UserError where they cannot be read."""
    taylor = load_taylor(spec.search, store) if spec.method == "taylor" else None
    displacement = load_displacement(spec.search, store) if spec.at in DISPLACEMENT_DRAWS else None
    return Rows(load_scores(spec.search, store), taylor, displacement)


def load_taylor(search_spec: specs.Search, store: Store) -> Tensor:
    """Taylor scores (epochs + 1, N) that a search left if asked to. Raises UserError where they are not here."""
    path, key = store.folder(search_spec) / "taylor.npy", specs.key(search_spec)
    if not path.is_file():
        raise UserError(
            f"taylor scores of search {key} are not here: it ran without --keep-taylor; make them: delete "
            f"{store.record_path(search_spec)} and rerun snakemake"
        )
    return _scores(search_spec, store, "taylor.npy")


def load_displacement(search_spec: specs.Search, store: Store) -> Tensor:
    """Displacement of the weights, (epochs + 1, 3), that a search saved. Raises UserError where it cannot be read."""
    return _scores(search_spec, store, "displacement.npy")


def needed(spec: Spec, store: Store) -> dict[str, Any]:
    """Record of a run that must have finished; raises UserError if it has not."""
    record = store.read(spec)
    if record is None:
        raise UserError(f"{spec.stage} {specs.key(spec)} has not been run; run it first")
    return record


def load_mask(ticket: specs.Ticket | specs.Sparse, store: Store, length: int) -> Tensor:
    """Mask (N,) that a draw or a sparse training left. Raises UserError where it is not one of `length` entries."""
    packed = store.part(ticket, "mask.npy", axes=1)
    if packed.dtype != np.uint8 or len(packed) != -(-length // 8):
        key = specs.key(ticket)
        raise UserError(
            f"mask.npy of {ticket.stage} {key}: not a mask of {length} places; delete its folder to run it again"
        )
    return torch.from_numpy(np.unpackbits(packed, count=length).astype(bool))
