"""The API reference: every module is in it, and what does not resolve stops it. All of it is built by `make docs`."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

import ebreplicate.pruning

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("apidocs", ROOT / "workflow" / "scripts" / "apidocs.py")
apidocs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(apidocs)


def test_every_module_of_the_package_is_documented_and_can_be_imported():
    files = {p.relative_to(ROOT).with_suffix("") for p in (ROOT / "ebreplicate").rglob("*.py")}
    expected = {".".join(f.parts).removesuffix(".__init__") for f in files if f.name != "__main__"}
    names = apidocs.modules()
    assert set(names) == expected
    apidocs.load(names)


def test_what_a_package_offers_lazily_is_in_place_where_pdoc_looks():
    apidocs.load(["ebreplicate.pruning"])
    assert set(ebreplicate.pruning.__all__) <= set(vars(ebreplicate.pruning))


def package(folder, monkeypatch, name, offered):
    """A package of one function, which says it offers `offered`."""
    text = f'"""A package."""\n\n__all__ = ["{offered}"]\n\n\ndef shown() -> None:\n    """Show what is here."""\n'
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    return name


def test_a_page_is_written_a_module(tmp_path, monkeypatch):
    apidocs.build(tmp_path / "docs", [package(tmp_path, monkeypatch, "eb_whole", "shown")])
    assert "Show what is here." in (tmp_path / "docs" / "eb_whole.html").read_text()


def test_a_name_that_does_not_resolve_is_an_error(tmp_path, monkeypatch):
    broken = package(tmp_path, monkeypatch, "eb_broken", "nothing")
    monkeypatch.setattr(apidocs, "load", lambda names: None)  # which would have met it first
    with pytest.raises(UserWarning, match="'nothing' in eb_broken"):
        apidocs.build(tmp_path / "docs", [broken])


def test_the_site_is_not_committed():
    assert subprocess.run(["git", "check-ignore", "-q", "build/docs/ebreplicate.html"], cwd=ROOT).returncode == 0
