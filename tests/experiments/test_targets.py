"""Names of files that Snakemake is asked for, and what is said of those that no rule makes."""

import pytest

from ebreplicate.errors import UserError
from ebreplicate.experiments.targets import check


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("figures/quick/fig1.svg", r"unknown name 'fig1'; did you mean 'fig1_existence'\? known: accuracy_vs_flops, "),
        ("fig1_existence.png", r"fig1_existence.png: no rule makes it; name it as figures/SCALE/fig1_existence.svg"),
        ("fig1_existence.png", "`ebreplicate plot fig1_existence --scale SCALE --output fig1_existence.png` draws"),
        ("figures/fig1_existence.svg", "for example figures/smoke/fig1_existence.svg$"),
        ("figures/smoke/fig1_existence.png", "name it as figures/SCALE/fig1_existence.svg"),
        ("figures/quik/table2.svg", "scale: unknown name 'quik'; did you mean 'quick'"),
        ("results/tables/quick/table4.csv", "unknown name 'table4'; did you mean 'table2'"),
        ("results/tables/fig1_existence.csv", "name it as results/tables/SCALE/fig1_existence.csv"),
        ("nothing.svg", "unknown name 'nothing'; known: "),
    ],
)
def test_a_file_that_no_rule_makes_is_named_with_the_way_to_name_it(argument, message):
    with pytest.raises(UserError, match=message):
        check(["--cores", "2", argument], "results", "figures")


def test_what_rules_make_and_what_is_no_table_or_figure_passes():
    good = ["figures/smoke/fig1_existence.svg", "figures/quick/table2_vgg16_cifar10.svg", "all", "report.zip"]
    good += ["results/tables/paper/table2.csv", "results/comparison/quick.csv", "elsewhere/graph.svg"]
    check([*good, "--config", "scale=quick", "--report", "out/report.html"], "results", "figures")
    check(["other/figures/smoke/fig1_existence.svg"], "other", "other/figures")
    with pytest.raises(UserError, match=r"name it as other/figures/SCALE/fig1_existence\.svg"):
        check(["other/figures/fig1_existence.svg"], "other", "other/figures")
