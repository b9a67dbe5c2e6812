"""Printed training FLOPs against arithmetic done here, and against what the reference audit solved."""

import math

import pytest
from synthetic import TINY, claims, structural_table

from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.experiments.common.verdicts import cell_verdict
from ebreplicate.experiments.structural_costs.arithmetic import reproduces, solve_table2, total_flops

G, P = 1e9, 1e15
VGG16, RESNET18 = 0.63 * G, 3.64 * G
C10, C100, IMAGENET = "Table 2, VGG16 CIFAR-10", "Table 2, VGG16 CIFAR-100", "Table 3, ResNet18 ImageNet"

AUDIT = [
    # printed (EB Train, re-init), draw epoch, FLOPs of the pruned network: reference audit, section 8
    (C100, 0.1, (282, 326), 25, 0.58),
    (C100, 0.3, (243, 273), 20, 0.49),
    (C100, 0.5, (197, 212), 13, 0.39),
    (C10, 0.3, (253, 288), 23, 0.51),
]
MISPRINTS = [(C10, 0.5, (215, 240)), (C10, 0.7, (197, 189))]


@pytest.mark.parametrize(
    ("draw", "small", "inherit", "expected"),
    [
        (160, 0.0, True, 3 * 0.63e9 * 50_000 * 160),  # no pruned epoch: dense training
        (25, 0.58 * G, True, 3 * 50_000 * (25 * 0.63e9 + 135 * 0.58e9)),
        (25, 0.58 * G, False, 3 * 50_000 * (25 * 0.63e9 + 160 * 0.58e9)),
    ],
)
def test_total_is_three_times_forward_times_images_times_epochs(draw, small, inherit, expected):
    assert total_flops(VGG16, small, draw, 160, 50_000, inherit) == pytest.approx(expected, rel=1e-12)


def test_totals_of_the_dense_networks():
    assert total_flops(VGG16, 0.0, 160, 160, 50_000) / 5e13 == pytest.approx(302.4)
    assert total_flops(RESNET18, 0.0, 90, 90, 1_281_167) / P == pytest.approx(1259.13, abs=0.005)


@pytest.mark.parametrize(
    ("derived", "printed", "same"),
    [(604.8, 605, True), (243.6, 243, True), (243.6, 244, True), (302.4, 302, True), (302.4, 303, False)],
)
def test_a_printed_digit_may_be_rounded_or_truncated(derived, printed, same):
    assert reproduces(derived, printed, 1.0) is same


@pytest.mark.parametrize(("group", "ratio", "printed", "draw", "small"), AUDIT)
def test_table2_pairs_have_the_one_solution_of_the_audit(group, ratio, printed, draw, small):
    assert solve_table2(VGG16, *printed) == [(draw, pytest.approx(small * G))]


@pytest.mark.parametrize(("group", "ratio", "printed"), MISPRINTS)
def test_table2_pairs_that_nothing_reproduces(group, ratio, printed):
    assert solve_table2(VGG16, *printed) == []


def one(table, group, method, ratio):
    rows = table[(table.table == group) & (table.method == method) & (table.ratio == ratio)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_table2_rows_are_the_printed_cells_beside_derived_ones():
    table = structural_table()
    for group, ratios in ((C10, (0.3, 0.5, 0.7)), (C100, (0.1, 0.3, 0.5))):
        for ratio in ratios:
            for method, printed, derived in (("SNIP", 302, 302.4), ("LT (one-shot)", 605, 604.8)):
                row = one(table, group, method, ratio)
                assert (row.published, row.fitted) == (printed, "nothing")
                assert row.derived == pytest.approx(derived)
    for group, ratio, printed, draw, small in AUDIT:
        for method, cell, retrained in zip(("EB Train", "EB Train (re-init)"), printed, (160 - draw, 160), strict=True):
            row = one(table, group, method, ratio)
            assert (row.published, row.draw_epoch) == (cell, draw)
            assert row.derived == pytest.approx(3 * 50_000 * (draw * VGG16 + retrained * small * G) / 5e13)
            assert row.pruned_gflops == pytest.approx(small)
    for group, ratio, printed in MISPRINTS:
        for method, cell in zip(("EB Train", "EB Train (re-init)"), printed, strict=True):
            row = one(table, group, method, ratio)
            assert row.published == cell
            assert math.isnan(row.derived)
            assert row.note.startswith("misprint")


def test_thinet_cells_follow_from_uniform_widths_with_nothing_fitted():
    printed = {(C10, 0.3): 451, (C10, 0.5): 379, (C10, 0.7): 331, (C100, 0.1): 547, (C100, 0.3): 451, (C100, 0.5): 379}
    small = {0.1: 0.51, 0.3: 0.31, 0.5: 0.16, 0.7: 0.06}  # GFLOPs of VGG16 with every width times (1 - p)
    for (group, ratio), cell in printed.items():
        row = one(structural_table(), group, "ThiNet", ratio)
        assert (row.published, row.fitted) == (cell, "nothing")
        assert row.pruned_gflops == pytest.approx(small[ratio])
        assert row.derived == pytest.approx(3 * 50_000 * 160 * (0.63 + small[ratio]) * G / 5e13)
        assert reproduces(row.derived, cell, 1.0)


def test_table2_network_slimming_is_predicted_within_some_percent():
    # One dense training and 160 epochs of the pruned network; nothing of this is fitted to the cell.
    for ratio, small, printed in ((0.1, 0.58, 586), (0.3, 0.49, 542), (0.5, 0.39, 480)):
        row = one(structural_table(), C100, "NS", ratio)
        assert row.published == printed
        assert row.derived == pytest.approx(3 * 50_000 * 160 * (0.63 + small) * G / 5e13)
        assert abs(row.derived / printed - 1) < 0.03


def test_five_of_six_totals_of_table3():
    table, images = structural_table(), 3 * 1_281_167 / P
    by_hand = {
        ("Unpruned", 0.0): (1259.13, images * 90 * RESNET18),
        ("EB Train", 0.1): (1177.15, images * (11 * RESNET18 + 79 * 3.37 * G)),
        ("EB Train", 0.3): (952.46, images * (11 * RESNET18 + 79 * 2.63 * G)),
        ("Network Slimming", 0.1): (2424.86, images * 90 * (RESNET18 + 3.37 * G)),
        ("Network Slimming", 0.3): (2168.89, images * 90 * (RESNET18 + 2.63 * G)),
    }
    for (method, ratio), (printed, derived) in by_hand.items():
        row = one(table, IMAGENET, method, ratio)
        assert (row.published, row.derived) == (printed, pytest.approx(derived))
        assert row.derived == pytest.approx(printed, abs=0.01)
    assert math.isnan(one(table, IMAGENET, "SFP", 0.3).derived)
    assert (table.table == IMAGENET).sum() == len(by_hand) + 1


def test_verdicts_of_the_cells():
    cells = {c.cell: c for c in EXPERIMENTS.load("structural_costs").cells(TINY, structural_table())}
    verdicts = {name: cell_verdict(c, comparable=False) for name, c in cells.items()}  # arithmetic is, at every scale
    assert len(verdicts) == 42
    impossible = {name for name, v in verdicts.items() if v == "not run"}
    assert impossible == {
        *(f"{C10}: {m}, ratio {r}" for m in ("EB Train", "EB Train (re-init)", "NS") for r in (0.5, 0.7)),
        f"{IMAGENET}: SFP, ratio 0.3",
    }
    assert {v for name, v in verdicts.items() if name not in impossible} == {"agrees"}


def test_claims_flip_with_the_cells():
    table = structural_table()
    seen = claims("structural_costs", TINY, table)
    assert seen["table2-flops"].verdict == "inconclusive"
    assert seen["table2-flops"].evidence.startswith("26 of 30 cells")
    assert "CIFAR-10 EB Train (re-init) 70%" in seen["table2-flops"].evidence
    assert seen["table3-flops"].verdict == "supported"

    derivable = table[~((table.table == C10) & (table.ratio > 0.3))]
    assert claims("structural_costs", TINY, derivable)["table2-flops"].verdict == "supported"
    wrong = table.copy()
    wrong.loc[(wrong.table == IMAGENET) & (wrong.method == "Unpruned"), "derived"] += 0.02
    assert claims("structural_costs", TINY, wrong)["table3-flops"].verdict == "not supported"
