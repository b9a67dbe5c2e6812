"""Files that Snakemake is asked for by name: is there such a table or figure? No torch."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from ebreplicate.errors import UserError, unknown
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.specs.scale import SCALES

PICTURES = (".svg", ".png", ".pdf")


def check(arguments: Iterable[str], results: str, figures: str) -> None:
    """Raise UserError for an argument that names a table or figure which no rule makes, with the way to name one.

    `results`, `figures`: the folders that tables and figures go to. Other files and options are left to Snakemake.
    """
    for argument in arguments:
        path = PurePosixPath(argument)
        table = path.suffix == ".csv" and argument.startswith(f"{results}/tables/")
        if table:
            _check(argument, f"{results}/tables", ".csv")
        elif path.suffix in PICTURES and (argument.startswith(f"{figures}/") or len(path.parts) == 1):
            _check(argument, figures, ".svg")


def _check(argument: str, folder: str, suffix: str) -> None:
    path = PurePosixPath(argument)
    names = [*EXPERIMENTS, *EXPERIMENTS.parts]
    if path.stem not in names:
        raise unknown("figure or table", path.stem, names)
    if path.parent.parent == PurePosixPath(folder) and path.parent.name not in SCALES:
        raise unknown("scale", path.parent.name, SCALES)
    if path.parent.parent != PurePosixPath(folder) or path.suffix != suffix:
        other = f"; `ebreplicate plot {path.stem} --scale SCALE --output {path.name}` draws another format"
        raise UserError(
            f"{argument}: no rule makes it; name it as {folder}/SCALE/{path.stem}{suffix}, for example "
            f"{folder}/{SCALES[0]}/{path.stem}{suffix}" + other * (path.suffix != suffix)
        )
