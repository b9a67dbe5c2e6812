"""One folder of static pages: every number beside the paper's, linked to the records it came from. Opens from disk.

Pages ask nothing of any network and work without scripts; scripts add sorting, filtering and links to a view.
"""

from collections.abc import Sequence
from pathlib import Path

from ebreplicate.report.site import folder
from ebreplicate.report.site.contents import gather
from ebreplicate.report.site.pages import write_pages
from ebreplicate.specs.scale import Scale


def write(scales: Sequence[Scale], results: Path, output: Path, figures: Path | None = None) -> int:
    """Write the site of `scales` (of which those without a finished run are left out) to the folder `output`.

    Figures are taken from `figures`/<scale>/<item>.svg where they exist, else drawn from the records. Returns the
    number of pages. Raises UserError if `results` has no runs, holds a damaged one, or `output` holds anything that
    is not an earlier site.
    """
    folder.check(output)
    site = gather(scales, results, figures)
    return folder.replace(output, lambda root: write_pages(site, root))
