"""One ledger of cost: forward FLOPs under three conventions, training FLOPs, seconds, memory, energy."""

import copy
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ebreplicate.cost.layers import layer_costs
from ebreplicate.errors import unknown
from ebreplicate.models.common import weight_layers

CONVENTIONS = ("authors", "fvcore", "torch")
"""authors: 2 per multiply-add of conv and linear (+ bias), 2 per BN element, 1 per ReLU, k*k per pooled output. Counts
`nn.Conv2d`, `Linear`, `BatchNorm2d`, `ReLU`, `MaxPool2d` and `AvgPool2d` only: no transposed convolution, no function.
fvcore: its default count, where a multiply-add is one. torch: FlopCounterMode, 2 per multiply-add, conv and linear."""


def _authors_count(module: nn.Module, out: torch.Tensor) -> float:
    """FLOPs of one module, not of those inside it, under the authors' compute_flops.py, from its output."""
    if isinstance(module, nn.Conv2d):
        per_output = 2 * module.in_channels // module.groups * math.prod(module.kernel_size)
        return out.numel() * (per_output + (module.bias is not None))
    if isinstance(module, nn.Linear):
        return out.numel() * (2 * module.in_features + (module.bias is not None))
    if isinstance(module, nn.BatchNorm2d):
        return 2 * out.numel()
    if isinstance(module, nn.ReLU):
        return out.numel()
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        size = module.kernel_size
        return out.numel() * (size * size if isinstance(size, int) else math.prod(size))
    return 0.0


def _authors(model: nn.Module, x: torch.Tensor) -> float:
    total = 0.0

    def count(module: nn.Module, _inputs: Any, out: torch.Tensor) -> None:
        nonlocal total
        total += _authors_count(module, out)

    handles = [m.register_forward_hook(count) for m in model.modules()]
    model(x)
    for handle in handles:
        handle.remove()
    return total


def _fvcore(model: nn.Module, x: torch.Tensor) -> float:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore calls torch.jit, which newer torch deprecates
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(model, x)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return float(analysis.total())


def _torch(model: nn.Module, x: torch.Tensor) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(x)
    return float(counter.get_total_flops())


def flops(model: nn.Module, input_shape: Iterable[int], convention: str = "authors") -> float:
    """Forward FLOPs of `model` for one image of `input_shape` (3, H, W), under a named convention.

    Counted on a deep copy in evaluation mode: the authors' counter runs in training mode and so disturbs the BN
    statistics it is about to copy (reference audit, section 7). Raises UserError for an unknown convention.
    """
    if convention not in CONVENTIONS:
        raise unknown("convention", convention, CONVENTIONS)
    return _flops(model, input_shape, (convention,))[convention]


def forward_flops(model: nn.Module, input_shape: Iterable[int]) -> dict[str, float]:
    """Forward FLOPs for one image under every convention."""
    return _flops(model, input_shape, CONVENTIONS)


@torch.no_grad()
def _flops(model: nn.Module, input_shape: Iterable[int], conventions: Iterable[str]) -> dict[str, float]:
    counters = {"authors": _authors, "fvcore": _fvcore, "torch": _torch}
    copied, image = copy.deepcopy(model).cpu().float().eval(), torch.zeros(1, *input_shape)
    return {c: counters[c](copied, image) for c in conventions}


PER_MULTIPLY_ADD = {"authors": 2, "fvcore": 1, "torch": 2}
"""FLOPs of one multiply-add under each convention."""


def uses_per_weight(model: nn.Module, input_shape: Iterable[int]) -> list[int]:
    """How often each weight of every convolution and linear layer is multiplied for one image, in module order.

    A layer that is used several times counts several times, one that is not used 0.
    """
    costs = layer_costs(model, input_shape).values()
    sizes = [layer.weight.numel() for layer in weight_layers(model).values()]
    return [cost.products // size for cost, size in zip(costs, sizes, strict=True)]


def sparse_forward_flops(
    model: nn.Module, input_shape: Iterable[int], kept: list[int], dense: Mapping[str, float]
) -> dict[str, float]:
    """Forward FLOPs for one image if only multiplications by kept weights counted: `kept` weights of every convolution
    and linear layer, in module order. What unstructured sparsity could save; on dense hardware it saves nothing.

    `dense`: `forward_flops` of the model."""
    sizes = [layer.weight.numel() for layer in weight_layers(model).values()]
    spared = sum(u * (n - k) for u, n, k in zip(uses_per_weight(model, input_shape), sizes, kept, strict=True))
    return {c: f - PER_MULTIPLY_ADD[c] * spared for c, f in dense.items()}


def training_flops(forward: float, images: int, epochs: float) -> float:
    """FLOPs of training: 3 x forward (backward counted as twice the forward) x images x epochs, as in the tables."""
    return 3 * forward * images * epochs


def detector_flops(channels: int, checks: int) -> float:
    """FLOPs of `checks` masks and distances over `channels`: 3 n log2 n + 2 n each (authors' vggprune.py)."""
    return checks * (3 * channels * math.log2(channels) + 2 * channels)


class EnergyMeter:
    """Joules used while the block runs, from the GPU's NVML counter or the CPU's RAPL files; None where neither is.

    The counters are of the whole device: another job on it is counted too, so the ledger names the source.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.joules: float | None = None
        self.source: str | None = None

    def _read(self) -> float | None:
        if self.device.type == "cuda":
            try:
                import pynvml
            except ImportError:
                return None
            try:
                pynvml.nvmlInit()
                uuid = str(torch.cuda.get_device_properties(self.device).uuid)
                handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
                self.source = "nvml"
                return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)
            except (AttributeError, pynvml.NVMLError):
                return None
        try:
            zones = sorted(Path("/sys/class/powercap").glob("intel-rapl:?"))
            values = [int((zone / "energy_uj").read_text()) for zone in zones]
        except OSError:
            return None
        if not values:
            return None
        self.source = "rapl"
        return sum(values) / 1e6

    def __enter__(self) -> "EnergyMeter":
        self._start = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        if self._start is None:
            return
        end = self._read()
        if end is not None and end >= self._start:  # RAPL wraps around; a wrapped reading is no reading
            self.joules = end - self._start


class Ledger:
    """Measures a block of training: seconds, peak memory, energy."""

    def __init__(self, device: torch.device):
        self.device = device
        self.energy = EnergyMeter(device)

    def __enter__(self) -> "Ledger":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._began = time.perf_counter()
        self.energy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.energy.__exit__()
        self.seconds = time.perf_counter() - self._began

    def _peak_mb(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)

    def measured(self) -> dict[str, Any]:
        """What was measured; None where the device has no counter."""
        return {
            "seconds": round(self.seconds, 3),
            "peak_memory_mb": round(self._peak_mb(), 1),
            "energy_j": self.energy.joules,
            "energy_source": self.energy.source if self.energy.joules is not None else None,
        }
