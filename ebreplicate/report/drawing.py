"""Whether two figures show the same, on whatever processor they were drawn."""

import base64
import io
import re

import numpy as np

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
