"""Which images of a batch a process of a training in several processes takes (torch.distributed)."""

from torch import distributed


def world() -> int:
    """Processes of this training."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(start: int, stop: int) -> slice:
    """This process's positions of the global batch start..stop - 1; the shares are disjoint and cover it."""
    return slice(start + rank(), stop, world())
