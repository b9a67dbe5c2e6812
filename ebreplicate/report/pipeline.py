"""The evaluation stages: tabulate, plot, compare. Each reads files and writes files, atomically."""

import io
from pathlib import Path
from typing import Any

from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.plan.scale import Scale
from ebreplicate.records import Store, atomic_write
from ebreplicate.report import compare as comparison
from ebreplicate.report import selection


def table_path(results: Path, scale: str, item: str) -> Path:
    """Where an item's table lies."""
    return results / "tables" / scale / f"{item}.csv"


def tabulate(item: str, scale: Scale, results: Path) -> None:
    """Write one item's table from whatever records there are; a missing run is a row that says so."""
    table = EXPERIMENTS.load(item).table(scale, Store(results))
    atomic_write(table_path(results, scale.name, item), table.to_csv(index=False, lineterminator="\n"))


def read_table(item: str, scale: Scale, results: Path) -> Any:
    """Read one item's table; raises UserError if it has not been made."""
    import pandas as pd

    path = table_path(results, scale.name, item)
    if not path.is_file():
        raise UserError(f"{path}: no such table; run `snakemake {path}` first")
    return pd.read_csv(path)


def plot(item: str, scale: Scale, results: Path, output: Path) -> None:
    """Draw one item's figure from its table. Raises UserError for an unknown format or without the table."""
    formats = (".svg", ".png", ".pdf")
    if output.suffix not in formats:
        raise UserError(f"--output: expected one of {', '.join(formats)}, got {output.name!r}")
    figure = EXPERIMENTS.load(item).figure(scale, read_table(item, scale, results))
    buffer = io.BytesIO()
    # No date: the same table gives the same bytes.
    metadata = {"Date": None} if output.suffix == ".svg" else {}
    figure.savefig(buffer, format=output.suffix[1:], metadata=metadata)
    atomic_write(output, buffer.getvalue())


def compare(scale: Scale, results: Path) -> None:
    """Write the comparison: `<scale>.csv` (cells), `<scale>_claims.csv` (claims) and `<scale>.md` (to read)."""
    tables = {item: read_table(item, scale, results) for item in EXPERIMENTS}
    cells, claims = comparison.collect(scale, tables)
    folder = results / "comparison"
    atomic_write(folder / f"{scale.name}_claims.csv", claims.to_csv(index=False, lineterminator="\n"))
    atomic_write(
        folder / f"{scale.name}.md", comparison.page(scale, cells, claims, selection.table(scale, Store(results)))
    )
    atomic_write(folder / f"{scale.name}.csv", cells.to_csv(index=False, lineterminator="\n"))


def redraw(scale: Scale, results: Path, figures: Path) -> None:
    """Tables, figures and comparison of a scale from the records at hand; what has not been run says so."""
    for item in EXPERIMENTS:
        tabulate(item, scale, results)
        plot(item, scale, results, figures / scale.name / f"{item}.svg")
    compare(scale, results)
