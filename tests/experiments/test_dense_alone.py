"""Figures of items of which the unpruned network alone has run: other items share it, so that it may be there first."""

import pytest

from ebreplicate.experiments import EXPERIMENTS
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
