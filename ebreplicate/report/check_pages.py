"""What was made of the records: tables, figures, comparison and README, each against one made again."""

import base64
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ebreplicate import published
from ebreplicate.errors import UserError
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.plan.scale import SCALES, load_scale
from ebreplicate.records import digest, figures_root

SUMS = "SHA256SUMS"


def published_problems() -> Iterator[str]:
    """The printed numbers against their digests."""
    listed = (line.split("  ") for line in (published.FOLDER / SUMS).read_text().splitlines())
    sums = {name: said for said, name in listed}
    files = {p.name: p for p in published.FOLDER.iterdir() if p.suffix in (".csv", ".npz")}
    for name in sorted({*sums, *files}):
        if name not in files or name not in sums or digest(files[name]) != sums[name]:
            again = f"if it is as printed: cd ebreplicate/published && sha256sum *.csv *.npz > {SUMS}"
            yield f"ebreplicate/published/{name}: not the file whose SHA-256 is in {SUMS}; {again}"


IMAGE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]*)")
HASHED = re.compile(r"(?<=[\"#])(?:[pmh]|C[0-9a-f]+_[0-9a-f]+_)[0-9a-f]{10}(?=[\")])")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
POINTS = 0.01
"""Largest distance, in points (1/72 inch), between two coordinates that are the same to the eye."""
LEVELS = 1
"""Likewise of the levels (0 to 255) of two pixels."""


def _pixels(payload: str) -> np.ndarray:
    """Pixels of an embedded PNG, int16 (height, width, 4). How it is compressed depends on the version of zlib."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(payload))).convert("RGBA")
    return np.asarray(image, np.int16)


def _parts(svg: str) -> tuple[list[np.ndarray], list[str], np.ndarray]:
    """Embedded images, the text between numbers, and the numbers. Hashed ids become their order of appearance."""
    names: dict[str, str] = {}
    images = [_pixels(payload) for payload in IMAGE.findall(svg)]
    text = HASHED.sub(lambda found: names.setdefault(found[0], chr(0xE000 + len(names))), IMAGE.sub("", svg))
    return images, NUMBER.split(text), np.array([float(n) for n in NUMBER.findall(text)])


def same_drawing(one: str, other: str) -> bool:
    """Whether two SVG texts of matplotlib show the same figure.

    The last bits of a float depend on the processor's vector instructions (AVX2, AVX-512). They reach the file as the
    last digit of a coordinate and as another hash in the id of a clip path or marker. Text, order and style must be
    equal, coordinates to `POINTS`, pixels of embedded images to `LEVELS`.
    """
    if one == other:
        return True
    (images, text, numbers), (images2, text2, numbers2) = _parts(one), _parts(other)
    shapes = [i.shape for i in images] == [i.shape for i in images2]
    if text != text2 or not shapes:
        return False
    near = np.abs(numbers - numbers2) <= POINTS
    return bool(near.all()) and all(np.abs(a - b).max() <= LEVELS for a, b in zip(images, images2, strict=True))


def _scale_problems(scale: str, results: Path, figures: Path) -> Iterator[str]:
    from ebreplicate.report import pipeline

    names = [f"comparison/{scale}{end}" for end in (".csv", "_claims.csv", ".md")]
    names += [f"tables/{scale}/{item}.csv" for item in EXPERIMENTS]
    there = [name for name in names if (results / name).is_file()]
    pictures = [item for item in EXPERIMENTS if (figures / scale / f"{item}.svg").is_file()]
    if not there and not pictures:
        return
    again, remedy = f"`ebreplicate redraw --scale {scale}`", "does not follow from the records; run"
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        (fresh / "runs").symlink_to((results / "runs").resolve())
        for item in EXPERIMENTS:
            pipeline.tabulate(item, load_scale(scale), fresh)
        if any(name.startswith("comparison") for name in there):
            pipeline.compare(load_scale(scale), fresh)
        for name in there:
            if (results / name).read_bytes() != (fresh / name).read_bytes():
                yield f"{results / name}: {remedy} {again}"
        for item in pictures:
            picture = figures / scale / f"{item}.svg"
            pipeline.plot(item, load_scale(scale), fresh, fresh / picture.name)
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
    for name, begin, end, table in readme.GENERATED:
        page = results.parent / name
        if not page.is_file():
            yield from [f"{page}: is not here"] * checkout
        elif checkout or begin in page.read_text(errors="replace"):
            try:
                readme.rewrite(page, begin, end, table(results), check=True)
            except (UserError, ValueError) as e:
                yield f"{page}: no text ({e})" if isinstance(e, ValueError) else str(e)


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
        except UserError as e:  # a record that cannot be read, which is told of by its own name
            yield f"tables of {scale}: {e}"
        except (ValueError, OSError) as e:  # a file that is no text, or no figure
            yield f"pages of {scale}: unreadable ({type(e).__name__}: {e})"
    yield from _generated_problems(results)
