"""What eight-bit formats promise for every tensor: on the grid, near, unbiased, at home in every power of two."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ebreplicate.errors import UserError
from ebreplicate.training.formats import E4M3, E5M2, ROUNDINGS, block_floating_point, float8

FORMS = [E4M3, E5M2]
each_rounding = pytest.mark.parametrize("rounding", ROUNDINGS)
each_form = pytest.mark.parametrize("form", FORMS, ids=["e4m3", "e5m2"])
shapes = st.sampled_from([(7,), (3, 5), (2, 3, 2, 2), (1, 1)])
tensors = st.builds(
    lambda shape, seed, power: torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2.0**power,
    shapes,
    st.integers(0, 2**31),
    st.integers(-60, 60),
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_definition(x, word_length):
    """Block floating point along dimension 0, one value at a time, in exact double arithmetic."""
    out = torch.empty_like(x)
    for row, q in zip(x, out, strict=True):
        flat = row.flatten().tolist()
        largest = max(map(abs, flat))
        step = 2.0 ** (math.frexp(largest)[1] - 1 - (word_length - 2))
        limit = 2 ** (word_length - 1) - 1
        grid = [min(limit, max(-limit, math.floor(v / step + 0.5))) * step for v in flat]
        q.copy_(torch.tensor(grid, dtype=torch.float64).view(row.shape))
    return out


@settings(max_examples=50, deadline=None)
@given(tensors, st.integers(2, 12))
def test_nearest_is_the_definition(x, word_length):
    assert torch.equal(block_floating_point(x, word_length), by_definition(x, word_length))


@settings(max_examples=30, deadline=None)
@given(tensors, st.sampled_from(ROUNDINGS), st.integers(3, 9))
def test_what_is_rounded_stays_where_it_is(x, rounding, word_length):
    once = block_floating_point(x, word_length, rounding=rounding, generator=generator())
    # A block whose largest value was rounded up to the next power of two has a coarser grid, but every value of a
    # block that kept its exponent stays.
    twice = block_floating_point(once, word_length, rounding=rounding, generator=generator(1))
    same = (once.flatten(1) if x.ndim > 1 else once[:, None]).abs().amax(1).frexp().exponent
    kept = same == (x.flatten(1) if x.ndim > 1 else x[:, None]).abs().amax(1).frexp().exponent
    assert torch.equal(once[kept], twice[kept])
    for form in FORMS:
        once = float8(x, form, rounding, generator())
        assert torch.equal(once, float8(once, form, rounding, generator(1)))


@settings(max_examples=30, deadline=None)
@given(tensors, st.integers(-30, 30), st.sampled_from(ROUNDINGS))
def test_a_power_of_two_passes_through(x, power, rounding):
    factor = 2.0**power
    for rounded in (
        lambda v: block_floating_point(v, rounding=rounding, generator=generator()),
        lambda v: float8(v, E4M3, rounding, generator()),
        lambda v: float8(v, E5M2, rounding, generator()),
    ):
        assert torch.equal(rounded(x * factor), rounded(x) * factor)


@settings(max_examples=30, deadline=None)
@given(tensors)
def test_errors_stay_within_half_a_step_or_a_whole_one(x):
    rows = x.flatten(1) if x.ndim > 1 else x[:, None]
    step = 2.0 ** (rows.abs().amax(1).frexp().exponent - 1 - 6.0)[:, None]
    inside = rows.abs() <= 127 * step
    for rounding, bound in (("nearest", 0.5), ("stochastic", 1.0)):
        q = block_floating_point(x, rounding=rounding, generator=generator()).view_as(rows)
        assert ((q - rows).abs() <= bound * step)[inside].all()
        assert ((q - rows).abs() < step).all()  # what is clipped as well
    for form in FORMS:  # half a unit in the last place of a normal number is 2^-(mantissa + 1) of it
        big = x.abs() >= x.abs().amax() / 64
        assert ((float8(x, form) - x).abs() <= 2.0 ** -(form.mantissa + 1) * x.abs())[big].all()


@pytest.mark.parametrize("value", [0.3, -0.3, 0.0078, -0.0001])
def test_stochastic_rounding_is_unbiased(value):
    n = 40_000
    x = torch.full((n + 1,), value)
    x[-1] = 1.0  # sets exponent and scale
    rounders = [lambda v: block_floating_point(v[None], rounding="stochastic", generator=generator())[0]]
    rounders += [lambda v, form=form: float8(v, form, "stochastic", generator()) for form in FORMS]
    for rounded in rounders:
        q = rounded(x)[:-1].double()
        low, high = q.min().item(), q.max().item()
        assert low < value < high  # both neighbours occur, and no third value
        assert set(q.tolist()) == {low, high}
        up = (value - low) / (high - low)
        assert (q == high).double().mean().item() == pytest.approx(up, abs=4 * math.sqrt(up * (1 - up) / n))


@each_form
@each_rounding
def test_every_number_of_the_format_is_kept(form, rounding):
    numbers = torch.arange(256, dtype=torch.uint8).view(form.dtype).float()
    numbers = numbers[numbers.isfinite()]
    assert numbers.max() == {3: 448, 2: 57344}[form.mantissa]
    assert torch.equal(float8(numbers, form, rounding, generator()), numbers)
    assert torch.equal(float8(numbers * 2.0**-40, form, rounding, generator()), numbers * 2.0**-40)


@each_form
def test_stochastic_results_are_numbers_of_the_format(form):
    x = torch.randn(5000, generator=generator()) * torch.logspace(-9, 0, 5000)
    q = float8(x, form, "stochastic", generator())
    assert torch.equal(float8(q, form), q)  # by torch's cast
    assert (q.sign() * x.sign() >= 0).all()


@each_rounding
def test_zeros_subnormals_and_the_largest_numbers(rounding):
    def bfp(x):
        return block_floating_point(torch.tensor(x), rounding=rounding, generator=generator()).tolist()

    tiny = 2.0**-149
    assert bfp([[0.0, -0.0], [tiny, 3 * tiny]]) == [[0.0, 0.0], [tiny, 3 * tiny]]
    assert bfp([[2.0**-127, -(2.0**-130)]]) == [[2.0**-127, -(2.0**-130)]]
    assert bfp([[2.0**127, -(2.0**127) * 1.999]])[0][0] == 2.0**127
    assert all(map(math.isfinite, bfp([[3.4e38, -3.4e38]])[0]))
    for form in FORMS:
        assert float8(torch.zeros(3), form, rounding, generator()).tolist() == [0, 0, 0]
        assert float8(torch.tensor([2.9e38, 1.0]), form, rounding, generator()).isfinite().all()
        assert float8(torch.tensor([1e-44, 0.0]), form, rounding, generator()).abs().max() <= 2e-44


@each_rounding
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_makes_its_block_nan_and_no_other(bad, rounding):
    x = torch.tensor([[bad, 1.0], [0.5, 1.0]])
    q = block_floating_point(x, rounding=rounding, generator=generator())
    assert q[0].isnan().all()
    assert q[1].tolist() == [0.5, 1.0]
    assert all(float8(x, form, rounding, generator()).isnan().all() for form in FORMS)


@each_rounding
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_shape_layout_and_argument_are_kept(dtype, rounding):
    x = torch.randn(2, 3, 4, 4, generator=generator()).to(dtype).to(memory_format=torch.channels_last)
    before = x.clone()
    for q in (
        block_floating_point(x, rounding=rounding, generator=generator()),
        float8(x, E4M3, rounding, generator()),
    ):
        assert (q.dtype, q.shape, q.stride()) == (dtype, x.shape, x.stride())
    assert torch.equal(x, before)
    assert block_floating_point(torch.zeros(0, 3, dtype=dtype)).shape == (0, 3)
    assert float8(torch.zeros(0, dtype=dtype), E5M2).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.ones(2, dtype=torch.int32)}, "x: expected float16"),
        ({"x": torch.ones(2), "word_length": 1}, "word_length: must be an integer in 2..16, got 1"),
        ({"x": torch.ones(2), "word_length": 8.0}, "word_length: .* got 8.0"),
        ({"x": torch.ones(2), "dim": 1}, r"dim: 1 is no dimension of a tensor of shape \(2,\)"),
        ({"x": torch.tensor(1.0)}, r"dim: 0 is no dimension of a tensor of shape \(\)"),
        ({"x": torch.ones(2), "rounding": "down"}, "rounding"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        block_floating_point(**arguments)


@pytest.mark.parametrize(("x", "rounding"), [(torch.ones(2).long(), "nearest"), (torch.ones(2), "up")])
def test_bad_arguments_of_float8_are_named(x, rounding):
    with pytest.raises(UserError):
        float8(x, E4M3, rounding)
