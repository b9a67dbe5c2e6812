"""The step hooks that a spec asks for: what changes the computation of a training, or measures it."""

from ebreplicate.data.arrays import ImageData
from ebreplicate.runner.inputs import shape
from ebreplicate.specs import spec as specs
from ebreplicate.training import lowprecision
from ebreplicate.training.averaging import WeightAverage
from ebreplicate.training.factorised import FactorNorms, FrobeniusDecay
from ebreplicate.training.joint import SearchAndPrune
from ebreplicate.training.loop import StepHook
from ebreplicate.training.precision import Precision
from ebreplicate.training.soft import SoftFilters


def hooks_of(recipe: specs.Recipe, precision: str, seed: int) -> list[StepHook]:
    """Of any training: rounding in low precision, then averaging of the rounded weights."""
    averages = [] if recipe.swa_start is None else [WeightAverage()]
    return [*lowprecision.hooks(precision, seed), *averages]


def search_hooks(spec: specs.Search, data: ImageData) -> list[StepHook]:
    """Of a search on `data`: those of any training, and those of the search's own fields."""
    hooks = hooks_of(spec.recipe, spec.precision, spec.seed)
    if spec.soft_ratio:
        hooks.append(SoftFilters(spec.soft_ratio))
    if spec.factorised:
        hooks += [FrobeniusDecay()] if spec.factorised.decay == "frobenius" else []
        hooks.append(FactorNorms())
    if spec.bits:
        hooks.append(Precision(spec.bits, spec.seed, shape(spec)))
    if spec.joint:
        batches = data.batches(spec.recipe.batch_size, spec.recipe.augment, spec.seed)
        hooks.append(SearchAndPrune(spec.joint, spec.seed, shape(spec), batches))
    return hooks
