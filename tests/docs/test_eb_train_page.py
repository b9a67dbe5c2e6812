"""The method as docs/eb-train.md prints it, against the records of the stages."""

import csv
from dataclasses import replace
from pathlib import Path

from commands import ROOT, blocks
from helpers import CPU, NOWHERE, TINY, digits, tiny_search

from ebreplicate import stages
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Ticket
from ebreplicate.store.store import Store

PAGE = "docs/eb-train.md"


def test_the_page_and_the_stages_train_alike(tmp_path, capsys):
    recipe = replace(TINY, epochs=8, milestones=(2,), lr_decay=1e-6)  # the masks settle when the rate vanishes
    search = tiny_search(recipe)
    spec, store = Retrain(Ticket(search, 0.5, "eb"), recipe, schedule="continue"), Store(tmp_path)
    stages.search(search, store, NOWHERE, CPU, Keep(ratios={0.5}))
    drawn = stages.draw(spec.ticket, store)
    stages.retrain(spec, store, NOWHERE, CPU)
    recorded = list(csv.DictReader((store.folder(spec) / "history.csv").read_text().splitlines()))

    (block,) = [b for b in blocks(PAGE, Path(ROOT, PAGE).read_text()) if b.language == "python"]
    names = {"seed": search.seed, "width": search.width, "ratio": 0.5, "recipe": recipe, "data": digits()}
    exec(compile(block.text, f"{PAGE}:{block.line}", "exec"), names)

    assert names["epoch"] == drawn["metrics"]["epoch"] == names["detector"].first
    assert len(recorded) == recipe.epochs - names["epoch"] > 0
    for row, said in zip(names["state"].history, recorded, strict=True):
        for name in ("epoch", "lr", "train_loss", "test_loss", "test_accuracy"):
            assert f"{float(row[name]):.6g}" == f"{float(said[name]):.6g}"
    assert (
        capsys.readouterr().out == f"ticket of epoch {names['epoch']}: {float(recorded[-1]['test_accuracy']):.2f} %\n"
    )
