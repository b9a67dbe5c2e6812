"""The rooms of the package (folders, and modules at its root) stand in one order; a file imports only from below."""

import ast
from pathlib import Path

import pytest

import ebreplicate

PACKAGE = Path(ebreplicate.__file__).parent
ROOMS = (
    *("errors", "interrupt", "files", "published", "catalog"),
    *("models", "specs", "store", "data", "pruning", "cost", "graphs", "training"),
    *("runner", "stages", "trained", "wann", "experiments", "report", "verify", "cli"),
)
"""From the ground to the roof."""


def files_of(room: str) -> list[Path]:
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


def imported(path: Path) -> set[str]:
    """Rooms that a file imports from, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ebreplicate":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {name[1] for name in names if name[0] == "ebreplicate" and len(name) > 1}
    return found


def test_every_file_is_in_a_room():
    listed = {path for room in ROOMS for path in files_of(room)}
    outside = [path.name for path in sorted({*PACKAGE.rglob("*.py")} - listed)]
    assert outside == ["__init__.py", "__main__.py"]
    assert sum((PACKAGE / f"{room}.py").is_file() for room in ROOMS) <= 6


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_below(room):
    below = {*ROOMS[: ROOMS.index(room)], room, "__version__"}
    above = {str(path.relative_to(PACKAGE)): imported(path) - below for path in files_of(room)}
    assert {path: rooms for path, rooms in above.items() if rooms} == {}
