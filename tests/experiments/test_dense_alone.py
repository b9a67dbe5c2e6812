"""Figures of items of which only runs shared with others have ended: the unpruned network, tickets of one search."""

import pytest
from matplotlib import pyplot
from synthetic import items_alone, write

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.table1.runs import HIGH, LOW, retrains
from ebreplicate.report import pipeline
from ebreplicate.specs.graph import Plan
from ebreplicate.specs.scale import load_scale
from ebreplicate.store.store import Store


@pytest.mark.parametrize(
    ("item", "column", "dense"), [("table2", "method", "Unpruned"), ("early_bird", "arm", "dense")]
)
@pytest.mark.parametrize("scale", ["smoke", "quick"])
def test_a_figure_is_drawn_where_the_unpruned_network_alone_has_run(item, column, dense, scale, tmp_path):
    experiment, scale = EXPERIMENTS.load(item), load_scale(scale)
    table = experiment.table(scale, Store(tmp_path))
    alone = table[column] == dense
    assert alone.any()
    table.loc[alone, "status"] = "ok"
    table.loc[alone, ["last_accuracy", "unseen_accuracy"]] = 50.0
    figure = experiment.figure(scale, table)
    assert "not" in " ".join(text.get_text() for axis in figure.axes for text in axis.texts)


@pytest.mark.parametrize(("schedules", "drawn"), [([HIGH], False), ([HIGH, LOW], True)])
def test_redraw_draws_the_difference_of_two_searches_only_where_both_have_tickets(
    schedules, drawn, tmp_path, monkeypatch
):
    items_alone(monkeypatch, "table1_schedules")
    scale, store = load_scale("smoke"), Store(tmp_path / "results")
    every = retrains(scale, "cifar10", "vgg16", scale.seeds[0])
    specs = Plan(spec for (schedule, _), spec in every.items() if schedule in schedules).runs.values()
    write(store, list(specs), lambda spec: 50.0)
    figure = tmp_path / "figures" / "smoke" / "table1_schedules.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text("of an earlier time")
    before = pyplot.get_fignums()
    pipeline.redraw(scale, store.root, tmp_path / "figures")
    assert figure.is_file() == drawn
    assert pyplot.get_fignums() == before  # of many items none may stay in memory
    if drawn:
        assert "large minus small" in figure.read_text()
