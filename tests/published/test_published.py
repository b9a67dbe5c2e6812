"""The printed numbers are those that were handed over, and a blank among them stays blank."""

import csv
from pathlib import Path

import pytest

from ebreplicate import published
from ebreplicate.errors import UserError
from ebreplicate.experiments.lottery import levels, text
from ebreplicate.experiments.table2.cells import HEADLINES as TABLE2
from ebreplicate.experiments.table3.claims import HEADLINES as TABLE3

HANDED_OVER = Path(__file__).parents[3] / "shared" / "published"  # beside the checkout, where there is one
ADDED = ("energy_per_operation.csv", "earlycrop_protocol.csv")
"""Ours, with a source in every row; everything else was handed over and stays as it was."""
FILES = sorted(p.name for p in published.FOLDER.iterdir() if p.suffix in (".csv", ".npz"))


def lines(name):
    with (published.FOLDER / name).open(newline="") as f:
        return list(csv.DictReader(f))


@pytest.mark.skipif(not HANDED_OVER.is_dir(), reason=f"{HANDED_OVER} is not on this machine")
def test_files_are_those_handed_over():
    given = sorted(p.name for p in HANDED_OVER.iterdir() if p.suffix in (".csv", ".npz"))
    given = [n for n in given if n not in ADDED]
    assert given == [n for n in FILES if n not in ADDED]
    assert [n for n in given if (published.FOLDER / n).read_bytes() != (HANDED_OVER / n).read_bytes()] == []


@pytest.mark.parametrize("name", ADDED)
def test_files_of_our_own_name_the_source_of_every_number(name):
    assert all(row["source"].strip() and row["unit"].strip() for row in lines(name))


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith(".csv")])
def test_a_blank_stays_blank_and_a_number_a_number(name):
    rows, table = lines(name), published.read(name.removesuffix(".csv"))
    assert len(table) == len(rows) > 0
    for column in ("value", "uncertainty", "err_half_best_pp", "distance_to_previous_epoch"):
        if column in rows[0]:
            blank = [row[column].strip() == "" for row in rows]
            assert table[column].isna().tolist() == blank


def test_the_point_that_nobody_can_read_is_no_number():
    table = published.read("eb_fig1_iclr_digitised")
    hidden = table[table.value.isna()]
    assert hidden[["dataset", "model", "prune_ratio", "draw_epoch"]].values.tolist() == [
        ["cifar10", "preresnet101", 0.3, "3"]
    ]
    assert not (table.value == 0).any()


def test_names_are_this_projects():
    table = published.read("eb_table3_resnet18_imagenet")
    assert set(table.model) == {"resnet18"}
    assert set(table.dataset) == {"imagenet"}


def test_every_number_of_the_early_bird_paper_has_a_source():
    for name in FILES:
        if name.startswith("eb_") and name.endswith(".csv") and "source" in (rows := lines(name))[0]:
            assert all(row["source"].strip() for row in rows), name


def test_a_number_of_the_abstracts_and_texts_is_judged_or_said_not_to_be():
    said = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text().partition("## Printed, and not judged")[2]
    headlines = {row["metric"] for row in lines("eb_headline_claims.csv")}
    judged = {*TABLE2, *TABLE3, "N_EB_over_N_fig1", "eb_emergence_epoch"}
    assert judged <= headlines
    assert [m for m in headlines - judged if f"`{m}`" not in said] == []
    assert [m for m in judged if f"`{m}` " in said.replace("`energy_savings_max`, which is judged", "")] == []
    texts = {(row["model"], row["metric"]) for row in lines("lth_key_numbers.csv")}
    judged = {(t.printed_model, t.metric) for t in (*text.TEXTS, *levels.LEVELS)}
    assert judged <= texts
    assert [m for _, m in texts - judged if f"`{m}`" not in said] == []
    abstract = [row["metric"] for row in lines("epi_table1.csv") if row["item"] == "EPI abstract"]
    assert [m for m in abstract if f"`{m}`" not in said] == []


def test_an_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'eb_protocol'"):
        published.read("eb_protocoll")


def test_cells_read_from_the_papers_are_found_under_their_names():
    table = published.read("eb_table2_vgg16_cifar100")
    cell = table[(table.method == "EB Train") & (table.prune_ratio == 0.3) & (table.metric == "total_training_energy")]
    assert cell[["dataset", "model", "value", "unit"]].values.tolist() == [["cifar100", "vgg16", 262.2, "kJ"]]
