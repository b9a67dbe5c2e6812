"""Block floating point against QPyTorch's numbers, and against cases small enough for a hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ebreplicate.training.lowprecision import block_floating_point

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "bfp.npz"  # beside the checkout, where there is one


@pytest.mark.skipif(not GOLDEN.is_file(), reason="QPyTorch's numbers are not beside this checkout")
def test_nearest_rounding_is_qpytorchs_bit_for_bit():
    with np.load(GOLDEN, allow_pickle=False) as archive:
        cases = [n[2:] for n in archive.files if n.startswith("x_")]
        assert len(cases) == 6
        for case in cases:
            x, q = torch.from_numpy(archive[f"x_{case}"]), torch.from_numpy(archive[f"q_{case}"])
            assert torch.equal(block_floating_point(x, int(archive[f"wl_{case}"])), q), case


# Word length 4: grid k * 2^(e - 2), |k| <= 7.
@pytest.mark.parametrize(
    ("x", "word_length", "dim", "q"),
    [
        # Largest 1.0, e = 0, step 1/4; 0.124 is below half a step, 0.125 is the tie, and ties go up on both sides.
        ([[1.0, 0.124, 0.125, -0.125, -0.126, 0.9]], 4, 0, [[1.0, 0.0, 0.25, 0.0, -0.25, 1.0]]),
        # Largest 1.99: 7.96 quarters would be 8; the grid ends at 7 on both sides.
        ([[1.99, -1.99, 1.0]], 4, 0, [[1.75, -1.75, 1.0]]),
        # Each row its own exponent, then each column.
        ([[3.0, 0.3], [0.3, 0.03]], 4, 0, [[3.0, 0.5], [0.3125, 0.0]]),
        ([[3.0, 0.3], [0.3, 0.03]], 4, 1, [[3.0, 0.3125], [0.5, 0.0]]),
        # A vector: an exponent an element. Between 0.25 and 0.5 the step is 2^-8, between 0.5 and 1 it is 2^-7.
        ([0.3, 0.7, -0.3], 8, 0, [77 / 256, 90 / 128, -77 / 256]),
        ([[0.0, 0.0], [0.0, -4.0]], 8, 0, [[0.0, 0.0], [0.0, -4.0]]),
    ],
)
def test_cases_by_hand(x, word_length, dim, q):
    assert block_floating_point(torch.tensor(x), word_length, dim).tolist() == q
