"""The evaluation stages: tabulate, plot, compare. Each reads files and writes files, atomically."""

import io
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.files import atomic_write
from ebreplicate.report import compare as comparison
from ebreplicate.report import selection
from ebreplicate.report.progress import steps
from ebreplicate.specs.scale import Scale
from ebreplicate.store.store import Store

TABULATE = "delete it and run `python -m ebreplicate tabulate`, or snakemake, for"


def table_path(results: Path, scale: str, item: str) -> Path:
    """Where an item's table lies."""
    return results / "tables" / scale / f"{item}.csv"


def tabulate(item: str, scale: Scale, results: Path) -> None:
    """Write one item's table from whatever records there are; a missing run is a row that says so."""
    atomic_write(table_path(results, scale.name, item), _table_text(item, scale, results))


def _table_text(item: str, scale: Scale, results: Path) -> str:
    table = EXPERIMENTS.load(item).table(scale, Store(results))
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def fresh_table(item: str, scale: Scale, results: Path) -> Any:
    """One item's table from the records, as it reads from its file; nothing is written."""
    import pandas as pd

    return pd.read_csv(io.StringIO(_table_text(item, scale, results)))


def read_table(item: str, scale: Scale, results: Path) -> Any:
    """Read one item's table; raises UserError if it has not been made."""
    import pandas as pd

    path = table_path(results, scale.name, item)
    if not path.is_file():
        raise UserError(f"{path}: no such table; run `snakemake {path}` first")
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as e:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: not a table ({' '.join(str(e).split())}); {TABULATE} {item}") from None
    return table


def _check_columns(scale: Scale, results: Path, tables: dict[str, Any]) -> None:
    """Raise UserError for a table that has not its item's columns. Asked only when something went wrong with one."""
    for item, table in tables.items():
        fresh = EXPERIMENTS.load(item).table(scale, Store(results))
        if list(fresh.columns) != list(table.columns):
            path = table_path(results, scale.name, item)
            raise UserError(f"{path}: not the table of {item} (it has other columns); {TABULATE} {item}") from None


def plot(item: str, scale: Scale, results: Path, output: Path) -> None:
    """Draw one item's figure from its table. Raises UserError for an unknown format or without the table."""
    formats = (".svg", ".png", ".pdf")
    if output.suffix not in formats:
        raise UserError(f"--output: expected one of {', '.join(formats)}, got {output.name!r}")
    table = read_table(item, scale, results)
    try:
        content = drawn(item, scale, table, output.suffix[1:])
    except Exception:
        _check_columns(scale, results, {item: table})
        raise
    atomic_write(output, content)


def drawn(item: str, scale: Scale, table: Any, kind: str = "svg") -> bytes:
    """One item's figure as a file of `kind` (svg, png, pdf); the same table gives the same bytes."""
    return _file(EXPERIMENTS.load(item).figure(scale, table), kind)


def shown(item: str, scale: Scale, table: Any) -> bytes | None:
    """One item's figure as SVG; None where it would say that nothing has been run."""
    from matplotlib import pyplot as plt

    from ebreplicate.experiments.common import style

    figure = EXPERIMENTS.load(item).figure(scale, table)
    if figure.get_label() == style.NOTHING:
        plt.close(figure)
        return None
    return _file(figure, "svg")


def _file(figure: Any, kind: str) -> bytes:
    from matplotlib import pyplot as plt

    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, metadata=metadata)
    plt.close(figure)
    return buffer.getvalue()


def compare(scale: Scale, results: Path) -> None:
    """Write the comparison: `<scale>.csv` (cells), `<scale>_claims.csv` (claims) and `<scale>.md` (to read).

    Of a scale whose numbers mean nothing both tables are empty: the code that makes them has run, and nothing is shown.
    """
    tables = {item: read_table(item, scale, results) for item in EXPERIMENTS}
    try:
        cells, claims = comparison.collect(scale, tables)
    except Exception:
        _check_columns(scale, results, tables)
        raise
    if scale.is_smoke:
        cells, claims, page = cells[:0], claims[:0], comparison.smoke_page(scale, tables)
    else:
        page = comparison.page(scale, cells, claims, selection.table(selection.effects(scale, Store(results))))
    folder = results / "comparison"
    atomic_write(folder / f"{scale.name}_claims.csv", claims.to_csv(index=False, lineterminator="\n"))
    atomic_write(folder / f"{scale.name}.md", page)
    atomic_write(folder / f"{scale.name}.csv", cells.to_csv(index=False, lineterminator="\n"))


def redraw(scale: Scale, results: Path, figures: Path) -> None:
    """Tables, figures and comparison of a scale from the records at hand.

    An item of which nothing has been run that its figure would show has a table and its place in the comparison, and no
    figure.
    """
    for item in steps(list(EXPERIMENTS), f"tables and figures of {scale.name}"):
        tabulate(item, scale, results)
        path = figures / scale.name / f"{item}.svg"
        content = shown(item, scale, read_table(item, scale, results))
        if content is None:
            path.unlink(missing_ok=True)
        else:
            atomic_write(path, content)
    compare(scale, results)
