"""What was made of the records: tables, figures, comparison and README, each against one made again."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ebreplicate import published
from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.files import digest
from ebreplicate.report.drawing import same_drawing
from ebreplicate.report.progress import steps
from ebreplicate.specs.scale import SCALES, load_scale
from ebreplicate.store.store import figures_root

SUMS = "SHA256SUMS"


def published_problems() -> Iterator[str]:
    """The printed numbers against their digests."""
    listed = (line.split("  ") for line in (published.FOLDER / SUMS).read_text().splitlines())
    sums = {name: recorded for recorded, name in listed}
    files = {p.name: p for p in published.FOLDER.iterdir() if p.suffix in (".csv", ".npz")}
    for name in sorted({*sums, *files}):
        if name not in files or name not in sums or digest(files[name]) != sums[name]:
            again = f"if it is as printed: cd ebreplicate/published && sha256sum *.csv *.npz > {SUMS}"
            yield f"ebreplicate/published/{name}: not the file whose SHA-256 is in {SUMS}; {again}"


def _scale_problems(scale: str, results: Path, figures: Path) -> Iterator[str]:
    from ebreplicate.report import pipeline

    names = [f"comparison/{scale}{end}" for end in (".csv", "_claims.csv", ".md")]
    names += [f"tables/{scale}/{item}.csv" for item in EXPERIMENTS]
    there = [name for name in names if (results / name).is_file()]
    pictures = [item for item in EXPERIMENTS if (figures / scale / f"{item}.svg").is_file()]
    if not there and not pictures:
        return
    settings = load_scale(scale)
    again, remedy = f"`ebreplicate redraw --scale {scale}`", "does not follow from the records; run"
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        (fresh / "runs").symlink_to((results / "runs").resolve())
        for item in steps(list(EXPERIMENTS), f"tables of {scale} made again"):
            pipeline.tabulate(item, settings, fresh)
        if any(name.startswith("comparison") for name in there):
            pipeline.compare(settings, fresh)
        for name in there:
            if (results / name).read_bytes() != (fresh / name).read_bytes():
                yield f"{results / name}: {remedy} {again}"
        for item in steps(pictures, f"figures of {scale} drawn again"):
            picture = figures / scale / f"{item}.svg"
            pipeline.plot(item, settings, fresh, fresh / picture.name)
            if not same_drawing(picture.read_text(), (fresh / picture.name).read_text()):
                yield f"{picture}: {remedy} {again}"


def unmade_problems(scale: str, results: Path, figures: Path) -> Iterator[str]:
    """Files among tables, comparisons and figures of a scale that nothing makes, so that nothing can check them."""
    known = {results / "tables" / scale / f"{item}.csv" for item in EXPERIMENTS}
    known |= {figures / scale / f"{item}.svg" for item in EXPERIMENTS}
    known |= {results / "comparison" / f"{scale}{end}" for end in (".csv", "_claims.csv", ".md")}
    found = [*(results / "tables" / scale).rglob("*"), *(results / "comparison").glob(f"{scale}*")]
    for path in sorted([*found, *(figures / scale).rglob("*")]):
        if path not in known and not path.is_dir():
            yield f"{path}: is no file that `redraw --scale {scale}` makes, so nothing can check it; remove it"


def _generated_problems(results: Path) -> Iterator[str]:
    """The generated tables of the pages beside the results; a checkout of this project has them all."""
    from ebreplicate.report import readme

    checkout = (results.parent / "ebreplicate" / "published").is_dir()
    pages = {results.parent / name for name, *_ in readme.GENERATED}
    missing = {page for page in pages if not page.is_file()}
    yield from (f"{page}: is not here" for page in sorted(missing) if checkout)
    for name, begin, end, table in readme.GENERATED:
        page = results.parent / name
        if page in missing:
            continue
        if checkout or begin in page.read_text(errors="replace"):
            try:
                readme.rewrite(page, begin, end, table(results), check=True)
            except (UserError, ValueError) as e:
                yield f"{page}: no text ({e})" if isinstance(e, ValueError) else str(e)
            except (KeyError, AttributeError) as e:
                yield f"{page}: not made again, because a comparison lacks a column ({e})"
    if checkout and readme.stale_figure(results.parent, results):
        yield f"{results.parent / readme.FIGURE}: does not follow from the claims; run `python -m ebreplicate readme`"


def page_problems(results: Path) -> Iterator[str]:
    """Every table, comparison and figure that is there, and the README and docs beside the results.

    Where the scale was changed by `--config`, smoke's are those of another configuration: smoke is not looked at.
    """
    yield from published_problems()
    figures = figures_root(results)
    for scale in SCALES[1:]:
        try:
            yield from _scale_problems(scale, results, figures)
            yield from unmade_problems(scale, results, figures)
        except UserError as e:  # a record that cannot be read, which is reported under its own name
            yield f"tables of {scale}: {e}"
        except (ValueError, OSError) as e:  # a file that is no text, or no figure
            yield f"pages of {scale}: unreadable ({type(e).__name__}: {e})"
    yield from _generated_problems(results)
