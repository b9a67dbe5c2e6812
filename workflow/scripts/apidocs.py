"""Write the API reference, made from the docstrings, to a folder of static pages: `make docs`.

A warning of pdoc's (a name that does not resolve, an annotation that cannot be read) is an error. Warnings of the
libraries that are imported on the way are not of this project's docstrings, and are left out.
"""

import argparse
import sys
import warnings
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ebreplicate"


def modules(package: str = PACKAGE) -> list[str]:
    """Names of a package and of every module in it, except `__main__`."""
    home = import_module(package)
    found = (m.name for m in walk_packages(home.__path__, f"{package}."))
    return [package, *(name for name in found if not name.endswith(".__main__"))]


def load(names: list[str]) -> None:
    """Import every module and what it offers lazily, so that pdoc finds all of it in place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            module = import_module(name)
            for public in getattr(module, "__all__", ()):
                setattr(module, public, getattr(module, public))  # pdoc looks in the module's own dictionary


def build(output: Path, names: list[str]) -> None:
    """Write a page for each of `names`, a package and its modules, to `output`; raises the first warning."""
    import pdoc

    load(names)
    pdoc.render.configure(docformat="markdown", footer_text=PACKAGE, show_source=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(names[0], output_directory=output)  # and what is below it


def main() -> int:
    """Build the reference into --output (default: build/docs)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "docs", help="folder (default: build/docs)")
    output = parser.parse_args().output
    try:
        build(output, modules())
    except Warning as warning:
        print(f"error: {warning}", file=sys.stderr)
        return 1
    print(f"{output / PACKAGE}.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
