"""Registries that know their names without importing what the names stand for (planning never imports torch)."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from ebreplicate.errors import unknown


class Registry:
    """Names to `module:attribute`, imported at first use.

    `parts`: further names, for parts of what is registered. They can be asked for, and are not listed.
    """

    def __init__(self, kind: str, targets: dict[str, str], parts: dict[str, str] | None = None):
        self.kind = kind
        self.parts = parts or {}
        self._targets = targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def check(self, name: str) -> str:
        """Return `name`; raise UserError with the nearest known name if there is no such entry."""
        known = {**self._targets, **self.parts}
        if name not in known:
            raise unknown(self.kind, name, known)
        return name

    def load(self, name: str) -> Any:
        """Import and return what `name` stands for; raises UserError for an unknown name."""
        module, attribute = {**self._targets, **self.parts}[self.check(name)].split(":")
        return getattr(import_module(module), attribute)
