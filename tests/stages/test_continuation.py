"""A command stopped after every epoch, and given again until it is done, leaves what an undisturbed one does."""

from dataclasses import replace

import pytest
from helpers import CPU, NOWHERE, left

from ebreplicate import cli as command_line
from ebreplicate import interrupt, stages
from ebreplicate.specs.bits import Bits
from ebreplicate.specs.joint import Joint
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Adapt, Factorised, Recipe, Retrain, Search, Sparse, Ticket, canonical
from ebreplicate.store.store import Store

RECIPE = Recipe(epochs=3, batch_size=20, milestones=(2,))
AVERAGED = replace(RECIPE, swa_start=1)
SEARCH = Search("vgg16", "digits", RECIPE, 0, 0.0625, 60, 20)
EARLY = Ticket(SEARCH, 0.3, 1)
SMALLEST = Ticket(SEARCH, 0.5, 3, "magnitude")
JOINT = Joint(0.01, 1, 1, 0.9, 1, 0.3)
SUPERNET = Search("supernet", "digits", replace(RECIPE, l1=0.0), 0, 0.125, 60, 20, joint=JOINT)
SPARSE = Sparse("vgg16", "digits", RECIPE, 0, 0.0625, 60, 20, interval=2)
BY_TEXT = replace(RECIPE, batch_size=4, lr=0.01, l1=0.0, augment="none", optimizer="adam", clip=10.0)
FACTORS = (1.0, 1.0, 1.0, 1.0, 0.0)
TEXT = Sparse("gru", "grammar", BY_TEXT, 0, 0.0625, 320, 200, sequence=8, sparsity=0.75, factors=FACTORS, interval=3)
CASES = {
    "search": (replace(SEARCH, seed=1), "--keep-epochs 1 2 --keep-ratios 0.5 --keep-epi slimming:0.5 --keep-taylor"),
    "search-displacement": (replace(SEARCH, seed=2), "--keep-crop crop:crop:0.5 crop-code:magnitude:0.3"),
    "search-soft": (replace(SEARCH, soft_ratio=0.5), "--keep-epochs 3"),
    "search-factorised": (replace(SEARCH, factorised=Factorised(0.2, "spectral", "frobenius")), "--keep-taylor"),
    "search-bfp8-averaged": (replace(SEARCH, precision="bfp8", recipe=AVERAGED), "--keep-epochs 2"),
    "search-fp8": (replace(SEARCH, precision="fp8"), ""),
    "search-learned-bits": (replace(SEARCH, bits=Bits("learned", (3, 8), (8,), 0.05)), "--keep-epochs 2"),
    "search-progressive": (replace(SEARCH, bits=Bits("progressive", (3, 8), (6, 8))), ""),
    "search-joint": (SUPERNET, "--keep-epochs 2"),
    "search-joint-reset": (replace(SUPERNET, joint=replace(JOINT, connectivity="reset")), ""),
    "search-bf16": (replace(SEARCH, precision="bf16"), ""),
    "retrain": (Retrain(EARLY, RECIPE), "--keep-epochs 2"),
    "retrain-reinit-adam": (Retrain(EARLY, replace(RECIPE, optimizer="adam", lr=0.01, warmup=2), "reinit"), ""),
    "retrain-bfp8-averaged": (Retrain(EARLY, AVERAGED, precision="bfp8"), ""),
    "retrain-over-weights": (Retrain(SMALLEST, RECIPE, "rewind"), "--keep-epochs 3"),
    "sparse-rigl": (SPARSE, ""),
    "sparse-snfs": (replace(SPARSE, method="snfs"), ""),
    "sparse-gmp": (replace(SPARSE, method="gmp"), ""),
    "sparse-text": (TEXT, ""),
    "adapt": (Adapt("vgg16", "digits-high", RECIPE, 0, 0.0625, 60, 20, backbone=SEARCH, method="piggyback"), ""),
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Two results folders in which the tickets are drawn."""
    stores = [Store(tmp_path_factory.mktemp(name)) for name in ("cut", "whole")]
    for store in stores:
        stages.search(SEARCH, store, NOWHERE, CPU, Keep({1, 3}))
        for ticket in (EARLY, SMALLEST):
            stages.draw(ticket, store, NOWHERE)
    return stores


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    yield
    interrupt.install(None)


QUICK = ("search", "retrain-over-weights", "sparse-rigl", "sparse-text", "adapt")
"""One of every stage, in the default suite."""


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] * (c not in QUICK)) for c in CASES])
def test_a_command_stopped_twice_and_continued_leaves_the_same_bits(case, roots, capsys):
    spec, flags = CASES[case]
    cut, whole = roots
    argv = [spec.stage, canonical(spec), *flags.split(), "--data", str(NOWHERE), "--device", "cpu"]
    assert command_line.main([*argv, "--results", str(whole.root)]) == 0
    stopped = [*argv, "--results", str(cut.root), "--time-limit", "0"]
    codes = [command_line.main(stopped) for _ in range(RECIPE.epochs)]
    assert codes == [75, 75, 0]
    assert capsys.readouterr().err.count("run the same command again") == 2
    assert "record.json" in left(whole.folder(spec))
    assert left(cut.folder(spec)) == left(whole.folder(spec))
    assert cut.read(spec)["cost"]["energy_j"] is None  # a part of the run was not measured
