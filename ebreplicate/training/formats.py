"""Eight-bit number formats, emulated in the tensor's own dtype: block floating point, and FP8 (E4M3 and E5M2).

Both round x to a multiple k * step of a power of two; they differ in where the step comes from. Only exact operations
are used (division by a power of two, floor, a difference below one), so nearest rounding gives the same bits on every
device. A block that holds inf or nan has no step and becomes nan as a whole, so that a diverged training shows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ebreplicate.errors import UserError, unknown

ROUNDINGS = ("nearest", "stochastic")
EXPONENT_BITS = 0x7F800000
"""Of a float32: this mask keeps 2^floor(log2|x|), or 0 for a subnormal."""


def _checked(x: Tensor, rounding: str) -> Tensor:
    if rounding not in ROUNDINGS:
        raise unknown("rounding", rounding, ROUNDINGS)
    if not x.is_floating_point() or x.dtype.itemsize < 2:
        raise UserError(f"x: expected float16, bfloat16, float32 or float64, got {x.dtype}")
    return x if x.dtype.itemsize > 2 else x.float()


def _power_of_two(x: Tensor) -> Tensor:
    """2^floor(log2 x) of non-negative x; the smallest subnormal for 0, nan for inf and nan.

    Division undoes frexp exactly on every device, which pow and ldexp do not promise.
    """
    info = torch.finfo(x.dtype)
    x = x.clamp_min(info.smallest_normal * info.eps)
    return x / (2 * torch.frexp(x).mantissa)


def uniform16(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform int16 in the shape and layout of `like` (dense).

    Four to a draw, because uniform floats would cost more than the rest of the rounding.
    """
    draws = torch.empty(-(-like.numel() // 4), dtype=torch.int64, device=like.device)
    draws.random_(-(2**63), None, generator=generator)
    return draws.view(torch.int16)[: like.numel()].as_strided(like.shape, like.stride())


def _rounded(x: Tensor, step: Tensor, rounding: str, generator: torch.Generator | None) -> Tensor:
    """k of x ~ k * step: floor(x / step + 1/2), or up with the probability of the remainder, to within 2^-17.

    The remainder is compared on its own: x / step + u would itself be rounded, and move values that lie on the grid.
    """
    rest = x / step
    k = rest.floor()
    rest.sub_(k)
    if rounding == "nearest":
        return k.add_(rest.sub_(0.5).floor_()).add_(1)
    # u = 1/2 + 2^-17 + i * 2^-16, the middle of one of 2^16 equal intervals: never 0 or 1.
    return k.add_(rest.sub_(0.5 + 2.0**-17).sub_(uniform16(rest, generator), alpha=2.0**-16).ceil_())


def block_floating_point(
    x: Tensor,
    word_length: int = 8,
    dim: int = 0,
    rounding: str = "nearest",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Round x to block floating point: one shared exponent for each index of `dim` (as in SWALP).

    With e = floor(log2 max|block|), every value becomes k * 2^(e - (word_length - 2)), |k| <= 2^(word_length-1) - 1, as
    in QPyTorch (reference audit, section 6). "nearest" is floor(x / step + 1/2): ties go up. "stochastic" is unbiased
    (to 2^-17 of a step) but for the clip, and draws from `generator`, on x's device. A vector has an exponent per
    element. Shape, dtype and device are those of x; zeros stay zeros; a block with inf or nan becomes nan. Raises
    UserError for anything else than a floating-point tensor, a word length in 2..16, a dimension of x and a known
    rounding.
    """
    wide = _checked(x, rounding)
    if not isinstance(word_length, int) or not 2 <= word_length <= 16:
        raise UserError(f"word_length: must be an integer in 2..16, got {word_length!r}")
    if x.ndim == 0 or not -x.ndim <= dim < x.ndim:
        raise UserError(f"dim: {dim} is no dimension of a tensor of shape {tuple(x.shape)}")
    if x.numel() == 0:
        return x.clone()
    others = [d for d in range(x.ndim) if d != dim % x.ndim]
    largest = wide.abs().amax(others, keepdim=True) if others else wide.abs()
    smallest = torch.finfo(wide.dtype).smallest_normal * torch.finfo(wide.dtype).eps  # every value is a multiple of it
    step = (_power_of_two(largest) * 2.0 ** (2 - word_length)).clamp_min_(smallest)
    limit = 2 ** (word_length - 1) - 1
    return _rounded(wide, step, rounding, generator).clamp_(-limit, limit).mul_(step).to(x.dtype)


@dataclass(frozen=True)
class Float8:
    """An FP8 format: its torch dtype, mantissa bits, exponent of the smallest normal number, and 1.75 * 2^top."""

    dtype: torch.dtype
    mantissa: int
    lowest: int
    top: int


E4M3 = Float8(torch.float8_e4m3fn, 3, -6, 8)
E5M2 = Float8(torch.float8_e5m2, 2, -14, 15)
"""Largest 448 = 1.75 * 2^8 and 57344 = 1.75 * 2^15 (Micikevicius et al., 2022, table 1)."""
SMALLEST_AMAX = 2.0**-100
"""Below this the scale stops growing, far from where it would overflow."""


def scale_of(amax: Tensor, form: Float8) -> Tensor:
    """Largest power of two by which a tensor with the largest magnitude `amax` can be multiplied within the format.

    One scale for every element of `amax`, in the same shape. Nothing saturates that is not already at the edge, and a
    value once on the grid stays on it.
    """
    amax = amax.clamp_min(SMALLEST_AMAX)
    power = _power_of_two(amax)
    return torch.where(amax / power > 1.75, 2.0 ** (form.top - 1), 2.0**form.top) / power


def round_to_scaled(x: Tensor, scale: Tensor, form: Float8, generator: torch.Generator | None) -> Tensor:
    """Stochastic rounding of x, float32, to the format's numbers over `scale` (broadcast to x's shape)."""
    own = (x.view(torch.int32) & EXPONENT_BITS).view(torch.float32) * 2.0**-form.mantissa
    step = torch.maximum(own, 2.0 ** (form.lowest - form.mantissa) / scale)  # subnormals share the lowest step
    return _rounded(x, step, "stochastic", generator).mul_(step)


def float8(x: Tensor, form: Float8, rounding: str = "nearest", generator: torch.Generator | None = None) -> Tensor:
    """Round x to FP8 under one power-of-two scale for the whole tensor, chosen from its largest magnitude.

    "nearest" is torch's own cast to the FP8 dtype and back (ties to even); "stochastic" is unbiased and draws from
    `generator`. Shape, dtype and device are those of x; a tensor with inf or nan becomes nan. Raises UserError for
    anything else than a floating-point tensor and a known rounding.
    """
    wide = _checked(x, rounding).float()
    if x.numel() == 0:
        return x.clone()
    scale = scale_of(wide.abs().amax(), form)
    if rounding == "stochastic":
        return round_to_scaled(wide, scale, form, generator).to(x.dtype)
    return ((wide * scale).to(form.dtype).float() / scale).to(x.dtype)
