"""Texts: which characters a batch has, one pass of evaluation, and files that are not as they should be."""

from itertools import chain

import pytest
import torch

from ebreplicate.data.arrays import load
from ebreplicate.data.text import CHUNK, Text, sentences
from ebreplicate.errors import UserError

LETTERS = bytes(range(97, 97 + 26)) * 10  # 260 characters


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text").mkdir()
    return tmp_path


def of(folder, train=LETTERS, valid=None, **sizes):
    (folder / "text" / "train.txt").write_bytes(train)
    if valid is not None:
        (folder / "text" / "valid.txt").write_bytes(valid)
    return load("text", folder, **{"train_size": 24, "test_size": 20, "sequence": 4, **sizes})


def test_a_stream_goes_on_from_batch_to_batch_and_epoch_to_epoch_round_the_text(folder):
    data = of(folder, valid=LETTERS)
    batches = data.batches(3, "none", seed=5)
    assert len(batches) == 2  # of 3 streams x 4 characters
    pairs = list(chain.from_iterable(batches.epoch(e) for e in range(40)))
    x, y = (torch.cat(parts, 1) for parts in zip(*((x, y.view(3, 4)) for x, y in pairs), strict=True))
    start = batches.starts.tolist()
    assert start[1] - start[0] == start[2] - start[1] == 260 // 3
    for stream in range(3):
        around = [LETTERS[(start[stream] + i) % 260] for i in range(321)]
        assert x[stream].tolist() == around[:-1]
        assert y[stream].tolist() == around[1:]


def test_seeds_begin_elsewhere_and_an_epoch_is_a_function_of_its_number(folder):
    data = of(folder, valid=LETTERS)
    starts = {int(data.batches(3, "none", seed).starts[0]) for seed in range(5)}
    assert len(starts) == 5
    first, again = (list(data.batches(3, "none", 1).epoch(7)) for _ in range(2))
    assert all(a.equal(b) for pair in zip(first, again, strict=True) for a, b in zip(*pair, strict=True))


def test_evaluation_is_one_pass_over_the_first_characters(folder):
    data = of(folder, valid=LETTERS * 40, test_size=CHUNK + 100)
    parts = list(data.evaluation())
    x, y = torch.cat([x for x, _ in parts], 1), torch.cat([y for _, y in parts])
    assert x.shape == (1, CHUNK + 100)
    assert x[0].tolist() == list((LETTERS * 40)[: CHUNK + 100])
    assert y.tolist() == list((LETTERS * 40)[1 : CHUNK + 101])
    assert data.test_images == CHUNK + 100


def test_without_a_validation_file_the_last_eighth_is_for_validation(folder):
    data = of(folder)
    assert (len(data.train), data.origin["text"]["validation_characters"]) == (228, 32)
    assert bytes(data.validation.tolist()) == LETTERS[228:249]  # the 20 that are asked for, and the one before


def test_a_record_tells_texts_apart_by_digest_and_not_by_place(folder, tmp_path_factory):
    one = of(folder).origin
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "text").mkdir()
    assert of(other).origin == one
    changed = of(other, train=LETTERS[:-1] + b"?").origin["text"]
    assert (changed["alphabet"], one["text"]["alphabet"]) == (27, 26)
    assert changed["sha256"] != one["text"]["sha256"]


@pytest.mark.parametrize(
    ("train", "sizes", "message"),
    [
        (b"na\xefve " * 99, {}, r"train.txt: not UTF-8 \(byte 2\); convert it"),
        (b"", {}, "train.txt: has 0 different characters; a text needs at least two"),
        (b"a" * 300, {}, "train.txt: has 1 different characters"),
        (LETTERS, {"test_size": 40}, "test_size: 40 characters to predict, the validation text has 31; give a longer"),
    ],
)
def test_a_text_that_will_not_do_is_named(folder, train, sizes, message):
    with pytest.raises(UserError, match=message):
        of(folder, train=train, **sizes)


def test_a_missing_text_is_named_with_where_to_put_it(tmp_path):
    with pytest.raises(UserError, match=r"text/train.txt: missing; put a UTF-8 text there"):
        load("text", tmp_path)
    (tmp_path / "text" / "train.txt").mkdir(parents=True)
    with pytest.raises(UserError, match=r"train.txt: Is a directory; put a UTF-8 text there"):
        load("text", tmp_path)


def test_streams_need_a_sequence_each_and_no_augmentation(folder):
    data = of(folder, valid=LETTERS, sequence=64)
    with pytest.raises(UserError, match="text: 260 characters are too few for 5 streams of 64; give a longer text"):
        data.batches(5, "none", 0)
    with pytest.raises(UserError, match=r"Recipe\.augment: a text is not augmented"):
        data.batches(2, "crop-flip", 0)


def test_the_grammar_is_the_same_everywhere_and_ends_where_asked():
    assert sentences(60) == sentences(200)[:60]
    assert sentences(60, 1) != sentences(60)
    data = load("grammar", None)
    assert isinstance(data, Text)
    assert data.train.tolist() == list(sentences(2**16).encode())
