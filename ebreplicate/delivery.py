"""Copies of what commands left in the results folder, where a storage provider of Snakemake's looks for them. No torch.

Where jobs share no file system, Snakemake carries the files that rules declare, and nothing else: the scores and
weights of a search and the mask of a draw, which lie beside their record, would not reach the next job. So the results
folder is a volume that all jobs mount, commands work there as ever, and Snakemake is given copies of what it declares.
"""

import os
from pathlib import Path

from ebreplicate.records import atomic_write

FOLDER = "EBREPLICATE_DELIVER"
"""Environment variable, set by the Snakefile: what stands for the results folder among Snakemake's local copies."""
DECLARED = {
    "tabulate": ("tables/{scale}/{item}.csv",),
    "compare": ("comparison/{scale}.csv", "comparison/{scale}_claims.csv", "comparison/{scale}.md"),
}
"""Files under the results folder that the rules of the reports declare; those of runs declare the record."""


def deliver(results: Path, names: list[Path]) -> None:
    """Copy files under `results` to where they are looked for, if anywhere."""
    folder = os.environ.get(FOLDER)
    if folder:
        for name in names:
            atomic_write(Path(folder) / name, (results / name).read_bytes())
