"""Texts as sequences of bytes for language models: files that the user provides, and sentences made on the fly."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ebreplicate.catalog import USERS_FILES
from ebreplicate.data import shares
from ebreplicate.errors import UserError
from ebreplicate.files import regular_bytes

FILE_LIMIT = 1 << 30
"""Bytes of the largest text; WikiText-103 has 540 million."""
VALIDATION_SHARE = 8
"""Without a validation file, one part in so many at the end of the text is for validation."""
CHUNK = 4096
"""Characters that are evaluated at once; the network carries its state from one chunk to the next."""


@dataclass
class Text:
    """A training and a validation text, uint8 (n,) each: every character is predicted from those before it.

    `sequence`: characters of a training sequence; `train_size`: characters predicted in an epoch; `origin`: what a
    record says of the text.
    """

    train: Tensor
    validation: Tensor
    sequence: int = 64
    train_size: int = 0
    origin: dict[str, object] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the text is."""
        return self.train.device

    @property
    def test_images(self) -> int:
        """Characters of the validation text that are predicted: all but the first."""
        return len(self.validation) - 1

    def to(self, device: torch.device) -> "Text":
        """Move to `device`."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))

    def sized(self, train_size: int, test_size: int, sequence: int) -> "Text":
        """The same text, of which `train_size` characters are predicted in an epoch, in sequences of `sequence`, and
        the first `test_size` of the validation text, from the second on. Raises UserError for more than it has."""
        if test_size > self.test_images:
            have = f"the validation text has {self.test_images:,}"
            raise UserError(f"test_size: {test_size:,} characters to predict, {have}; give a longer text")
        return replace(self, train_size=train_size, validation=self.validation[: test_size + 1], sequence=sequence)

    def batches(self, batch_size: int, augment: str, seed: int) -> "Streams":
        """Training sequences of `batch_size` streams. Raises UserError for a text too short for one in each."""
        if augment != "none":
            raise UserError(f"Recipe.augment: a text is not augmented; use none, not {augment!r}")
        if shares.world() > 1:
            raise UserError("--processes: a text is trained on by one process")
        if len(self.train) <= batch_size * self.sequence:
            raise UserError(
                f"text: {len(self.train):,} characters are too few for {batch_size} streams of {self.sequence}; give a "
                "longer text, or a smaller batch_size or sequence"
            )
        return Streams(self, batch_size, seed)

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation text in one pass: characters int64 (1, T) and the ones after them, int64 (T,)."""
        text = self.validation.long()
        for start in range(0, self.test_images, CHUNK):
            piece = text[start : start + CHUNK + 1]
            yield piece[None, :-1], piece[1:]


class Streams:
    """Batches of B sequences; each goes on where the last batch's sequence in its place has ended.

    B streams begin at equal distances from a place that `seed` draws, and go round the text. Where an epoch begins
    follows from its number, so that training resumes exactly at any epoch.
    """

    def __init__(self, data: Text, batch_size: int, seed: int):
        self.text, self.sequence, self.batch_size = data.train, data.sequence, batch_size
        self.device, self.images_per_epoch = data.device, data.train_size
        first = random.Random(seed).randrange(len(self.text))
        self.starts = first + torch.arange(batch_size, device=self.device) * (len(self.text) // batch_size)

    def __len__(self) -> int:
        return self.images_per_epoch // (self.batch_size * self.sequence)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (characters int64 (B, T), the ones after them (B * T,)) of the 0-based `epoch`."""
        span = torch.arange(self.sequence + 1, device=self.device)
        for step in range(epoch * len(self), (epoch + 1) * len(self)):
            places = (self.starts[:, None] + step * self.sequence + span) % len(self.text)
            characters = self.text[places].long()
            yield characters[:, :-1], characters[:, 1:].flatten()


def _bytes(path: Path) -> bytes:
    """Content of a text file. Raises UserError for one that is missing or not UTF-8."""
    try:
        content = regular_bytes(path, FILE_LIMIT)
        content.decode()
    except FileNotFoundError:
        raise UserError(
            f"{path}: missing; put a UTF-8 text there, at least a megabyte for the scales quick and paper "
            "(docs/char-lm.md)"
        ) from None
    except UnicodeDecodeError as e:
        raise UserError(f"{path}: not UTF-8 (byte {e.start:,}); convert it, for example with iconv") from None
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: {getattr(e, 'strerror', None) or e}; put a UTF-8 text there") from None
    if len(set(content)) < 2:
        raise UserError(f"{path}: has {len(set(content))} different characters; a text needs at least two")
    return content


def _made(train: bytes, validation: bytes) -> Text:
    origin = {
        "train_characters": len(train),
        "validation_characters": len(validation),
        "alphabet": len({*train, *validation}),
        "sha256": hashlib.sha256(train + validation).hexdigest(),
    }
    first, second = (torch.from_numpy(np.frombuffer(part, np.uint8).copy()) for part in (train, validation))
    return Text(first, second, origin={"text": origin})


def load_text(root: Path) -> Text:
    """The text that the user provides: text/train.txt, and text/valid.txt or the end of the former for validation."""
    path = root / USERS_FILES["text"]
    train, other = _bytes(path), path.with_name("valid.txt")
    if other.exists():
        return _made(train, _bytes(other))
    cut = len(train) - len(train) // VALIDATION_SHARE
    return _made(train[:cut], train[cut:])


def sentences(characters: int, seed: int = 0) -> str:
    """That many characters of sentences of a small grammar, the same for the same `seed`."""
    draw = random.Random(seed)
    nouns = ("ant", "bird", "cat", "dog", "fox", "hen", "owl", "pig")
    rules = [("the", "a"), ("big", "small", "old"), nouns, ("sees", "hears", "likes"), ("the", "a"), nouns]
    text, length = [], 0
    while length < characters:
        text.append(" ".join(draw.choice(words) for words in rules) + "\n")
        length += len(text[-1])
    return "".join(text)[:characters]


def load_grammar(root: Path) -> Text:
    """Sentences made on the fly: 2**16 characters for training, 2**12 for validation."""
    return _made(sentences(2**16, 0).encode(), sentences(2**12, 1).encode())
