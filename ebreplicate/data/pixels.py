"""Augmentation and evaluation crop of one ImageNet image, by Pillow.

The same windows and pixels as torchvision's RandomResizedCrop, RandomHorizontalFlip, Resize and CenterCrop, without its
import, which takes seconds.
"""

import math

import numpy as np
from PIL import Image

BILINEAR = Image.Resampling.BILINEAR
Crop = tuple[int, int, int, int, bool]
"""Left, top, right and bottom of the window, in pixels of the file, and whether it is mirrored."""


def random_crop(width: int, height: int, rng: np.random.Generator) -> Crop:
    """Inception's window, as in torchvision: area 8 to 100 %, aspect ratio 3/4 to 4/3 (log-uniform), flip at 1/2.

    Ten tries, then the largest central window within the aspect ratios.
    """
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1.0)
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            break
    else:
        w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h, bool(rng.random() < 0.5)


def augmented(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A random window of `image`, resized to side x side, perhaps mirrored."""
    left, top, right, bottom, flip = random_crop(*image.size, rng)
    out = image.crop((left, top, right, bottom)).resize((side, side), BILINEAR)
    return out.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else out


def central(image: Image.Image, side: int) -> Image.Image:
    """Resize the shorter side to 8/7 of `side` (256 for 224) and cut the central side x side."""
    short = round(side * 8 / 7)
    width, height = image.size
    scale = short / min(width, height)
    resized = image.resize((max(short, int(width * scale)), max(short, int(height * scale))), BILINEAR)
    left, top = round((resized.width - side) / 2), round((resized.height - side) / 2)
    return resized.crop((left, top, left + side, top + side))
