"""What a run is: frozen specs that chain by value, and the key that names each run.

A key covers everything that changes a run's numbers and nothing else (not the device, threads, data root or the
experiment that asked). Fields at their default are left out of the canonical form, so a new field with a default
moves no existing key; for the same reason a default is never edited.
"""

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ebreplicate.catalog import (
    ADAPTIONS,
    DATASETS,
    DISPLACEMENT_DRAWS,
    DISTRIBUTIONS,
    FULLY_CONNECTED,
    GRADIENT_FLOW_METHODS,
    GRAPH_SEARCH_ROUNDS,
    GRAPHS,
    INFO,
    METHODS,
    MODELS,
    ON_TEXT,
    OWN_STAGES,
    SHAPED,
    SPARSIFIERS,
    SUPERNETS,
    WEIGHT_METHODS,
    check_images,
)
from ebreplicate.errors import UserError, shown, unknown
from ebreplicate.files import strict_json
from ebreplicate.specs.bits import Bits
from ebreplicate.specs.fields import Spec, from_dict, need, to_json
from ebreplicate.specs.joint import Joint

NUMERICS = 1
"""Bumped when the golden CPU loss curve changes: it is part of every key."""

INITS = ("inherit", "reinit", "rewind")
SCHEDULES = ("full", "continue", "budget")
AUGMENTATIONS = ("crop-flip", "crop", "none", "imagenet")
OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("fp32", "tf32", "bf16", "bfp8", "fp8")
"""fp32 is IEEE single precision on every device; tf32 lets a GPU round the factors of a product to 10 bits; bf16 is
autocast; bfp8 is 8-bit block floating point as in the authors' code (SWALP); fp8 is E4M3 forward and E5M2 backward."""
LOW_PRECISIONS = ("bfp8", "fp8")
LAST_ROUND = 64
"""Of iterative pruning: a chain of specs is nested, and the paper that prunes longest has 30."""
NAMED_DRAWS = ("eb", "epi", *DISPLACEMENT_DRAWS, "best", "final")
DECAYED = ("all", "weights")
"""Parameters under weight decay: every one, or the weights of convolutions and linear layers only."""
WEIGHT_INITS = ("model", "glorot-uniform")
"""The network's own, or uniform in +-sqrt(6 / (fan_in + fan_out)) with zero biases, TensorFlow's default."""
FACTOR_INITS = ("kaiming", "spectral", "spectral-ones")
"""Of factors: drawn anew; from the dense weight's singular value decomposition; the same, all singular values one."""
FACTOR_DECAYS = ("factors", "frobenius")
"""What weight decay shrinks: each factor, or the Frobenius norm of their product."""
EVALUATIONS = ("test", "unseen")
"""Images that accuracies are measured on: the test images of every epoch; or, after the last epoch, also every image
that the training did not see, which are the whole test set and the training images beyond `train_size`."""


@dataclass(frozen=True)
class Recipe(Spec):
    """Optimiser, schedule and epochs of one training; defaults are the paper's CIFAR recipe (SGD, [80, 120])."""

    epochs: int = 160
    batch_size: int = 256
    lr: float = 0.1
    milestones: tuple[int, ...] = (80, 120)
    lr_decay: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    l1: float = 1e-4
    augment: str = "crop-flip"
    optimizer: str = "sgd"
    nesterov: bool = False
    warmup: int = 0
    """Epochs over which the rate rises linearly from zero, step by step."""
    label_smoothing: float = 0.0
    swa_start: int | None = None
    """Completed epochs after which end-of-epoch weights are averaged (SWALP); None: no averaging."""
    compiled: bool = False
    """Whether torch.compile compiles the network on a GPU: sums in another order (docs/speed.md)."""
    weight_decay_on: str = "all"
    clip: float = 0.0
    """Norm that the gradient of a step, of all parameters together, is scaled down to if it is longer; 0: never."""

    def _validate(self) -> None:
        need(self.epochs >= 1, "Recipe.epochs", f"must be at least 1, got {self.epochs}")
        need(self.batch_size >= 2, "Recipe.batch_size", f"must be at least 2 (batch norm), got {self.batch_size}")
        need(self.lr > 0, "Recipe.lr", f"must be positive, got {self.lr}")
        need(0 < self.lr_decay <= 1, "Recipe.lr_decay", f"must lie in (0, 1], got {self.lr_decay}")
        need(0 <= self.momentum < 1, "Recipe.momentum", f"must lie in [0, 1), got {self.momentum}")
        need(self.weight_decay >= 0, "Recipe.weight_decay", f"must not be negative, got {self.weight_decay}")
        need(self.l1 >= 0, "Recipe.l1", f"must not be negative, got {self.l1}")
        ordered = list(self.milestones) == sorted(set(self.milestones))
        need(ordered, "Recipe.milestones", f"must increase strictly, got {list(self.milestones)}")
        if self.augment not in AUGMENTATIONS:
            raise unknown("Recipe.augment", self.augment, AUGMENTATIONS)
        if self.optimizer not in OPTIMIZERS:
            raise unknown("Recipe.optimizer", self.optimizer, OPTIMIZERS)
        need(0 <= self.warmup <= self.epochs, "Recipe.warmup", f"must lie in 0..{self.epochs}, got {self.warmup}")
        if self.weight_decay_on not in DECAYED:
            raise unknown("Recipe.weight_decay_on", self.weight_decay_on, DECAYED)
        smooth = self.label_smoothing
        need(0 <= smooth < 1, "Recipe.label_smoothing", f"must lie in [0, 1), got {smooth}")
        need(self.clip >= 0, "Recipe.clip", f"must not be negative, got {self.clip}")
        swa = self.swa_start
        need(swa is None or 0 <= swa < self.epochs, "Recipe.swa_start", f"must lie in 0..{self.epochs - 1}, got {swa}")

    def lr_at(self, epoch: float) -> float:
        """Learning rate at the 0-based absolute `epoch` (a fraction while warming up).

        A function of the epoch, so that a late start misses no decay.
        """
        warm = min(1.0, epoch / self.warmup) if self.warmup else 1.0
        return self.lr * warm * self.lr_decay ** sum(epoch >= m for m in self.milestones)

    def scaled(self, factor: float) -> "Recipe":
        """The recipe stretched to `factor` times its epochs, milestones with it (at least one epoch)."""
        milestones = sorted({max(1, round(m * factor)) for m in self.milestones})
        swa = None if self.swa_start is None else round(self.swa_start * factor)
        epochs = max(1, round(self.epochs * factor))
        warmup = round(self.warmup * factor)
        return replace(self, epochs=epochs, milestones=tuple(milestones), warmup=warmup, swa_start=swa)


def sized(model: str, width: float) -> str:
    """A network's name with its width, where that is not 1."""
    return model if width == 1 else f"{model}w{width:g}"


@dataclass(frozen=True)
class Training(Spec):
    """What every training from scratch has: network, data, recipe, seed, precision, and what it is evaluated on.

    Retrains are evaluated as the search of their ticket is.

    `standardise`: whether pixels get mean 0 and standard deviation 1 over the training set; else they stay in [0, 1].
    `sequence`: of a text, the characters of a training sequence, through which gradients go back. An epoch then is
    `train_size` predicted characters, in sequences of `recipe.batch_size` streams, and not a pass over the text.
    """

    model: str
    dataset: str
    recipe: Recipe = Recipe()
    seed: int = 0
    width: float = 1.0
    train_size: int | None = None
    test_size: int | None = None
    precision: str = "fp32"
    validation: int = 0
    """Training images held out for early stopping; 0: early stopping is read from the test loss after each epoch."""
    validation_interval: int = 100
    """Optimiser steps between two evaluations on the held-out images."""
    standardise: bool = True
    weight_init: str = "model"
    evaluation: str = "test"
    sequence: int = 64

    def _validate(self) -> None:
        MODELS.check(self.model)
        DATASETS.check(self.dataset)
        check_images(self.model, INFO[self.dataset].shape)
        name = type(self).__name__
        need(0 <= self.seed < 2**32, f"{name}.seed", f"must lie in 0..2**32-1, got {self.seed}")
        need(0 < self.width <= 4, f"{name}.width", f"must lie in (0, 4], got {self.width}")
        for size_name in ("train_size", "test_size"):
            size = getattr(self, size_name)
            need(size is None or size >= 10, f"{name}.{size_name}", f"must be at least 10 images, got {size}")
        if self.precision not in PRECISIONS:
            raise unknown(f"{name}.precision", self.precision, PRECISIONS)
        most = (self.train_size or INFO[self.dataset].train) - 10
        need(0 <= self.validation <= most, f"{name}.validation", f"must lie in 0..{most} images, got {self.validation}")
        held_out = self.validation == 0 or not INFO[self.dataset].streamed
        need(held_out, f"{name}.validation", f"is not offered for {self.dataset}, whose images are read one by one")
        every = self.validation_interval
        need(every >= 1, f"{name}.validation_interval", f"must be at least 1 step, got {every}")
        if self.weight_init not in WEIGHT_INITS:
            raise unknown(f"{name}.weight_init", self.weight_init, WEIGHT_INITS)
        plain = self.standardise or not INFO[self.dataset].streamed
        need(plain, f"{name}.standardise", f"{self.dataset} is read image by image and always standardised")
        if self.evaluation not in EVALUATIONS:
            raise unknown(f"{name}.evaluation", self.evaluation, EVALUATIONS)
        in_memory = self.evaluation == "test" or not INFO[self.dataset].streamed
        need(in_memory, f"{name}.evaluation", f"'unseen' needs a dataset held in memory, not {self.dataset!r}")
        self._validate_sequence(name)

    def _validate_sequence(self, name: str) -> None:
        need(self.sequence >= 1, f"{name}.sequence", f"must be at least 1 character, got {self.sequence}")
        if not INFO[self.dataset].text:
            need(self.sequence == 64, f"{name}.sequence", f"means nothing for the images of {self.dataset}")
            return
        plain = not self.validation and self.standardise and self.evaluation == "test"
        need(plain, name, "validation, standardise and evaluation are for images; leave them out with a text")
        step = self.recipe.batch_size * self.sequence
        size = self.train_images
        need(size % step == 0, f"{name}.train_size", f"must be a multiple of batch_size x sequence, {step}; is {size}")

    @property
    def train_images(self) -> int:
        """Training images, without those held out."""
        return (self.train_size or INFO[self.dataset].train) - self.validation

    @property
    def test_images(self) -> int:
        """Test images."""
        return self.test_size or INFO[self.dataset].test

    @property
    def unseen_images(self) -> int:
        """Images of the dataset that training does not see: the whole test set and the training images left out."""
        info = INFO[self.dataset]
        return info.test + info.train - (self.train_size or info.train)

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        precision = f"-{self.precision}" if self.precision in LOW_PRECISIONS else ""
        return f"{sized(self.model, self.width)}-{self.dataset}-s{self.seed}{precision}"


@dataclass(frozen=True)
class Factorised(Spec):
    """How a network's convolutions are made products of two thin ones (Khodak et al., ICLR 2021).

    `rank_scale`: rank of a layer over output channels times kernel height, the rows of its matrix.
    """

    rank_scale: float
    init: str = "kaiming"
    decay: str = "factors"

    def _validate(self) -> None:
        scale = self.rank_scale
        fits = f"must lie strictly between 0, which leaves no rank, and 1, got {scale}"
        need(0 < scale < 1, "Factorised.rank_scale", fits)
        if self.init not in FACTOR_INITS:
            raise unknown("Factorised.init", self.init, FACTOR_INITS)
        if self.decay not in FACTOR_DECAYS:
            raise unknown("Factorised.decay", self.decay, FACTOR_DECAYS)

    def rank(self, rows: int) -> int:
        """Rank of a layer whose matrix has `rows` rows, at least 1."""
        return max(1, round(self.rank_scale * rows))


@dataclass(frozen=True)
class Search(Training):
    """Dense training in which tickets are looked for (the paper's Algorithm 1, run to the end).

    `soft_ratio`: fraction of the filters of every layer that soft filter pruning sets to zero after each epoch (He et
    al., IJCAI 2018); None: plain dense training. `factorised`: the network's convolutions are products; it has no
    tickets. `bits`: of the quantiser in every convolution; None: none. `joint`: search of a supernet's channels and
    pruning of its weights while it trains.
    """

    soft_ratio: float | None = None
    factorised: Factorised | None = None
    bits: Bits | None = None
    joint: Joint | None = None

    stage = "search"
    nested: ClassVar[dict[str, type[Spec]]] = {"factorised": Factorised, "bits": Bits, "joint": Joint}

    def _validate(self) -> None:
        super()._validate()
        soft = self.soft_ratio
        need(soft is None or 0 < soft < 1, "Search.soft_ratio", f"must lie strictly between 0 and 1, got {soft}")
        whole = soft is None or self.factorised is None
        need(whole, "Search.soft_ratio", "prunes filters, and a factorised layer has none; leave one of them out")
        rounded = self.factorised is not None and self.precision in LOW_PRECISIONS
        need(not rounded, "Search.precision", f"{self.precision} is not offered for factorised networks; use fp32")
        exact = self.bits is None or self.precision in ("fp32", "tf32")
        need(exact, "Search.bits", f"quantise fp32 or tf32, not {self.precision}, which rounds in its own way")
        if self.joint is not None:
            self._validate_joint(self.joint)

    def _validate_joint(self, joint: Joint) -> None:
        known = ", ".join(SUPERNETS)
        need(self.model in SUPERNETS, "Search.joint", f"needs a supernet ({known}), not {self.model!r}")
        alone = (self.soft_ratio, self.factorised, self.bits, self.recipe.swa_start) == (None,) * 4
        need(alone, "Search.joint", "cannot be combined with soft_ratio, factorised, bits or swa_start")
        need(not self.recipe.l1, "Search.recipe.l1", "must be 0 with joint, which has an L1 term of its own")
        need(self.precision not in LOW_PRECISIONS, "Search.precision", f"{self.precision} is not offered with joint")
        if joint.target:
            last = joint.pruned_at(self.recipe.epochs)
            reached = f"is not reached: {self.recipe.epochs} epochs prune {last:g}; shorten Joint.interval"
            need(last == joint.target, "Joint.target", reached)

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        soft = "" if self.soft_ratio is None else f"-soft{self.soft_ratio:g}"
        f = self.factorised
        factors = "" if f is None else f"-rank{f.rank_scale:g}-{f.init}-{f.decay}"
        rest = "".join(f"-{part.slug}" for part in (self.bits, self.joint) if part)
        return super().slug + soft + factors + rest


@dataclass(frozen=True)
class Ticket(Spec):
    """A mask drawn from a search at an epoch (`at`: completed epochs, or one of `NAMED_DRAWS`).

    "eb": where the mask distance settles; "epi": where the early pruning indicator does; "crop", "crop-code": where the
    weights do, by EarlyCroP's rules. 0, the untrained network, is for methods that score by gradients. `after`: for
    iterative pruning, the retrain whose final weights are scored instead; its own ticket's mask stays, and `ratio` is
    the fraction of the remaining ones (weights, of a method over weights). `search` is always the dense search at the
    root.
    """

    search: Search
    ratio: float
    at: int | str
    method: str = "slimming"
    if TYPE_CHECKING:
        after: "Retrain | None" = None
    else:  # Retrain is defined below: `nested` has it for readers of JSON, and _validate checks it
        after: Spec | None = None

    stage = "draw"

    def _validate(self) -> None:
        METHODS.check(self.method)
        need(0 < self.ratio < 1, "Ticket.ratio", f"must lie strictly between 0 and 1, got {self.ratio}")
        need(self.search.factorised is None, "Ticket.search", "is of a factorised network, which has no tickets")
        if self.method == "nonzero":
            joint = self.search.joint
            pruned = joint is not None and joint.target == self.ratio and self.after is None
            need(pruned, "Ticket.method", f"'nonzero' needs a search with joint of target {self.ratio:g}, the ratio")
        last = self.search.recipe.epochs
        if self.after is not None:
            after = self.after
            if not isinstance(after, Retrain):
                raise UserError(f"Ticket.after: expected a Retrain, got {type(after).__name__}")
            rounds = self.over_weights and self.method not in GRADIENT_FLOW_METHODS
            need(rounds, "Ticket.after", f"needs a method over weights with rounds (magnitude), got {self.method!r}")
            need(after.ticket.search == self.search, "Ticket.after", "belongs to another search")
            need(self.at in ("final", after.recipe.epochs), "Ticket.at", '"final" is the only draw of a retrain')
            last = after.recipe.epochs
            need(self.round <= LAST_ROUND, "Ticket.after", f"at most {LAST_ROUND} rounds")
        if isinstance(self.at, str):
            if self.at not in NAMED_DRAWS:
                raise unknown("Ticket.at", self.at, NAMED_DRAWS)
            detected = self.at in ("eb", "epi")
            need(not (detected and self.over_weights), "Ticket.at", f"{self.at!r} needs a method over channels")
            if self.at == "final":  # one name for one run: the last epoch by number
                object.__setattr__(self, "at", last)
        else:
            first = 0 if self.method in GRADIENT_FLOW_METHODS else 1
            fits = first <= self.at <= last
            need(fits, "Ticket.at", f"draw epoch must lie in {first}..{last} (the search), got {self.at}")

    @property
    def over_weights(self) -> bool:
        """True if the mask is over single weights, not channels."""
        return self.method in WEIGHT_METHODS

    @property
    def round(self) -> int:
        """Round of iterative pruning, 1 for a ticket of the search itself."""
        return 1 if self.after is None else 1 + self.after.ticket.round

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        at = self.at if isinstance(self.at, str) else f"e{self.at}"
        number = "" if self.after is None else f"-k{self.round}"
        return f"{self.search.slug}-{self.method}-r{self.ratio:g}-{at}{number}"


@dataclass(frozen=True)
class Retrain(Spec):
    """Training of a drawn ticket.

    `init`: "inherit" the ticket's weights (the paper), "reinit" them, or "rewind" to the search's weights after
    `rewind` epochs (0: its initialisation, the lottery ticket). `schedule`: "full" trains all epochs of the recipe;
    "continue" starts at the draw epoch with the learning rate of that absolute epoch, as EB Train does; "budget"
    stretches the recipe until the small network has cost what the dense one costs (Scratch-B), at most twofold.
    """

    ticket: Ticket
    recipe: Recipe = Recipe()
    init: str = "inherit"
    schedule: str = "full"
    seed: int | None = None
    precision: str = "fp32"
    rewind: int = 0

    stage = "retrain"

    def _validate(self) -> None:
        seeded = self.seed is None or 0 <= self.seed < 2**32
        need(seeded, "Retrain.seed", f"must lie in 0..2**32-1, got {self.seed}")
        if self.init not in INITS:
            raise unknown("Retrain.init", self.init, INITS)
        if self.schedule not in SCHEDULES:
            raise unknown("Retrain.schedule", self.schedule, SCHEDULES)
        if self.precision not in PRECISIONS:
            raise unknown("Retrain.precision", self.precision, PRECISIONS)
        last = self.ticket.search.recipe.epochs
        need(0 <= self.rewind < last, "Retrain.rewind", f"must lie in 0..{last - 1}, got {self.rewind}")
        rewinds = self.init == "rewind" or not self.rewind
        need(rewinds, "Retrain.rewind", f'means nothing with init {self.init!r}; use init "rewind"')
        if self.schedule == "continue":
            searched, at = self.ticket.search.recipe.epochs, self.ticket.at
            same = self.recipe.epochs == searched
            need(same, "Retrain.recipe.epochs", f'"continue" keeps the epoch counter of the search: need {searched}')
            need(at != searched, "Retrain.schedule", f'"continue" from draw epoch {at} leaves no epoch to train')
            need(self.ticket.after is None, "Retrain.schedule", '"continue" needs a ticket of the search itself')

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        init = self.init + (f"{self.rewind}" if self.rewind else "")
        schedule = "" if self.schedule == "full" else f"-{self.schedule}"
        precision = f"-{self.precision}" if self.precision in LOW_PRECISIONS else ""
        return f"{self.ticket.slug}-{init}{schedule}{precision}"


@dataclass(frozen=True)
class Sparse(Training):
    """Training of a sparse network from scratch: RigL and its relatives, and pruning at initialisation.

    `sparsity`: fraction of the prunable weights that is zero (at the end, for gradual pruning). `distribution`: how it
    is spread over layers. Every `interval` steps, until the fraction `stop` of training, a cosine-decayed fraction
    starting at `alpha` of each layer's weights is replaced. `multiplier` stretches the training (RigL, section 4).

    `factors`: each layer's sparsity as a multiple of `sparsity`, in forward order, in place of `distribution`. `begin`:
    first step at which masks may change (1: gradual pruning has its own). `compact_of`: the training whose network,
    without its dead pixels and neurons, is trained in place of `model` (RigL+; RigL, appendix B).
    """

    method: str = "rigl"
    sparsity: float = 0.9
    distribution: str = "erk"
    interval: int = 100
    alpha: float = 0.3
    stop: float = 0.75
    multiplier: float = 1.0
    factors: tuple[float, ...] = ()
    begin: int = 1
    if TYPE_CHECKING:
        compact_of: "Sparse | None" = None
    else:  # a class cannot name itself before it is defined: `nested` has it for readers of JSON
        compact_of: Spec | None = None

    stage = "sparse"

    def _validate(self) -> None:
        super()._validate()
        SPARSIFIERS.check(self.method)
        if self.distribution not in DISTRIBUTIONS:
            raise unknown("Sparse.distribution", self.distribution, DISTRIBUTIONS)
        need(0 < self.sparsity < 1, "Sparse.sparsity", f"must lie strictly between 0 and 1, got {self.sparsity}")
        need(self.interval >= 1, "Sparse.interval", f"must be at least 1 step, got {self.interval}")
        need(0 < self.alpha <= 1, "Sparse.alpha", f"must lie in (0, 1], got {self.alpha}")
        need(0 < self.stop <= 1, "Sparse.stop", f"must lie in (0, 1], got {self.stop}")
        need(0 < self.multiplier <= 100, "Sparse.multiplier", f"must lie in (0, 100], got {self.multiplier}")
        need(self.begin >= 0, "Sparse.begin", f"must not be negative, got {self.begin}")
        need(self.method != "snip" or not self.factors, "Sparse.factors", f"mean nothing with method {self.method!r}")
        for i, factor in enumerate(self.factors):
            fits = factor >= 0 and factor * self.sparsity < 1
            need(fits, f"Sparse.factors[{i}]", f"must give a sparsity in [0, 1), got {factor} x {self.sparsity}")
        if self.compact_of is not None:
            self._validate_compact(self.compact_of)

    def _validate_compact(self, found: Any) -> None:
        if not isinstance(found, Sparse):
            raise UserError(f"Sparse.compact_of: expected a Sparse, got {type(found).__name__}")
        connected = self.model in FULLY_CONNECTED
        need(connected, "Sparse.compact_of", f"needs a fully connected network: {', '.join(FULLY_CONNECTED)}")
        need(self.method != "small-dense", "Sparse.compact_of", 'means nothing with method "small-dense"')
        need(found.compact_of is None, "Sparse.compact_of", "is itself the compact network of another training")
        for name in ("model", "dataset", "width", "train_size", "test_size"):
            ours, its = getattr(self, name), getattr(found, name)
            need(ours == its, "Sparse.compact_of", f"has {name} {its!r}, this training has {ours!r}")

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        spread = "" if self.method in ("small-dense", "snip") else f"-{self.distribution}"
        spread = "-layers" if self.factors else spread
        longer = "" if self.multiplier == 1 else f"-x{self.multiplier:g}"
        compact = "" if self.compact_of is None else "-compact"
        return f"{super().slug}-{self.method}{spread}-S{self.sparsity:g}{longer}{compact}"


@dataclass(frozen=True)
class Adapt(Training):
    """Training of a finished search's network, `backbone`, for another dataset, in general a task of few classes.

    It starts from the weights of the search's last epoch and a new classifier. `method`: what trains, one of
    `ADAPTIONS`: masks over frozen weights, batch norms and classifier alone, or everything.
    """

    backbone: Search = field(kw_only=True)
    method: str = field(kw_only=True)

    stage = "adapt"

    def _validate(self) -> None:
        super()._validate()
        if self.method not in ADAPTIONS:
            raise unknown("Adapt.method", self.method, ADAPTIONS)
        need(self.model not in (*SHAPED, *ON_TEXT), "Adapt.model", f"{self.model} has no batch norms that can adapt")
        need(self.precision not in LOW_PRECISIONS, "Adapt.precision", f"{self.precision} is not offered; use fp32")
        need(self.recipe.swa_start is None, "Adapt.recipe.swa_start", "weights are not averaged; leave it out")
        plain = self.backbone.factorised is None and self.backbone.bits is None
        need(plain, "Adapt.backbone", "is of a factorised or quantised network, which is not adapted")
        for name in ("model", "width"):
            ours, its = getattr(self, name), getattr(self.backbone, name)
            need(ours == its, "Adapt.backbone", f"has {name} {its!r}, this training has {ours!r}")

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        return f"{super().slug}-{self.method}"


class Alone(Spec):
    """Base of runs that train no network of `models`, build on no other run and use the CPU.

    No estimate of FLOPs counts them. What pages and the workflow ask of any run they have as well.
    """

    model: ClassVar[str]
    width: ClassVar[float] = 1.0
    precision: ClassVar[str] = "fp32"
    train_size: ClassVar[int | None] = None
    stand_in: ClassVar[Any] = False
    """Whether it says nothing about a paper, whatever its dataset is called."""
    if TYPE_CHECKING:  # at run time a property would be the default of a field of that name

        @property
        def dataset(self) -> str:
            """Name of the data or the task."""

        @property
        def seed(self) -> int:
            """Of all its random numbers."""

    @property
    def batch(self) -> str:
        """Name of the job that it shares, at one scale."""
        raise NotImplementedError

    @property
    def detail(self) -> str:
        """What sets it apart from others of its dataset and seed, in words."""
        raise NotImplementedError


@dataclass(frozen=True)
class GraphTickets(Alone):
    """Tickets of a graph at one pair of ratios: a search, its draws and every retraining of them, in one run (GEBT).

    `p_graph`, `p_weight`: fractions of the edges and of the weights that are removed; both 0: the unpruned graph is
    trained. p_weight 0: edges are searched on trained, frozen weights; else edges and weights together. `draws`:
    epochs of the search after which tickets are drawn, beside the one where the detector fires. `random_graphs`: how
    many graphs of as many random edges are trained as well. `epochs`: of the search; a training has one update less.
    """

    dataset: str
    p_graph: float = 0.0
    p_weight: float = 0.0
    seed: int = 0
    draws: tuple[int, ...] = ()
    random_graphs: int = 0
    epochs: int = 100

    stage = "graph"
    model: ClassVar[str] = "gcn"

    def _validate(self) -> None:
        if self.dataset not in GRAPHS:
            raise unknown("GraphTickets.dataset", self.dataset, GRAPHS)
        for name in ("p_graph", "p_weight"):
            need(0 <= getattr(self, name) < 1, f"GraphTickets.{name}", f"must lie in [0, 1), got {getattr(self, name)}")
        edges_too = self.p_graph > 0 or not (self.p_weight or self.draws or self.random_graphs)
        need(edges_too, "GraphTickets.p_graph", "must be positive where anything is pruned or drawn")
        need(0 <= self.seed < 2**32, "GraphTickets.seed", f"must lie in 0..2**32-1, got {self.seed}")
        rounds = f"must be a multiple of {GRAPH_SEARCH_ROUNDS} from 8 to 10000, got {self.epochs}"
        need(8 <= self.epochs <= 10_000 and self.epochs % GRAPH_SEARCH_ROUNDS == 0, "GraphTickets.epochs", rounds)
        ordered = list(self.draws) == sorted({d for d in self.draws if 0 <= d <= self.epochs})
        need(ordered, "GraphTickets.draws", f"must increase strictly in 0..{self.epochs}, got {list(self.draws)}")
        many = self.random_graphs
        need(0 <= many <= 100, "GraphTickets.random_graphs", f"must lie in 0..100, got {many}")

    @property
    def slug(self) -> str:
        """Human-readable part of the key."""
        return f"gcn-{self.dataset}-s{self.seed}-g{self.p_graph:g}-w{self.p_weight:g}"

    @property
    def batch(self) -> str:
        """Runs over a graph take seconds: those of one graph and seed share a job."""
        return f"{self.dataset}_s{self.seed}"

    @property
    def detail(self) -> str:
        """What is removed, in words."""
        weights = f" and {self.p_weight:g} of the weights" if self.p_weight else ""
        return f"{self.p_graph:g} of the edges{weights} removed" if self.p_graph else "unpruned graph"

    @property
    def rule(self) -> str:
        """Rule of the detector that decides the draw: over edges alone, or the mean of edges and weights."""
        return "mean" if self.p_weight else "graph"


Ticket.nested = {"after": Retrain}
Sparse.nested = {"compact_of": Sparse}
STAGES: dict[str, type[Spec]] = {
    "search": Search,
    "draw": Ticket,
    "retrain": Retrain,
    "sparse": Sparse,
    "adapt": Adapt,
    "graph": GraphTickets,
}


def canonical(spec: Spec) -> str:
    """Canonical JSON of a run: what the key hashes."""
    return f'{{"numerics":{NUMERICS},"spec":{to_json(spec)},"stage":"{spec.stage}"}}'


def key(spec: Spec) -> str:
    """Name of a run: readable slug and ten hex digits of the sha256 of its canonical JSON."""
    known: str | None = spec.__dict__.get("_key")  # remembered: planning asks for the same keys over and over
    if known is None:
        digest = hashlib.sha256(canonical(spec).encode()).hexdigest()[:10]
        known = f"{re.sub(r'[^a-zA-Z0-9.]+', '-', spec.slug)}-{digest}"
        object.__setattr__(spec, "_key", known)
    return known


def from_json(text: str) -> Any:
    """Read a run's spec back from its canonical JSON, with the same validation as one built in code.

    Raises UserError naming the field that is wrong.
    """
    try:
        body = strict_json(text)
    except ValueError as e:
        raise UserError(f"spec: not JSON ({e})") from None
    try:
        return _from_body(body)
    except RecursionError:
        raise UserError("spec: nested too deeply") from None


def _from_body(body: Any) -> Any:
    if not isinstance(body, dict) or set(body) != {"stage", "numerics", "spec"}:
        raise UserError("spec: expected an object with the fields stage, numerics and spec")
    known = [*STAGES, *OWN_STAGES]  # a list: any JSON value may stand here, hashable or not
    if body["stage"] not in known:
        raise unknown("spec.stage", body["stage"], known)
    if body["numerics"] != NUMERICS:
        raise UserError(
            f"spec.numerics: this version computes numerics {NUMERICS}, the spec asks for {shown(body['numerics'])}; "
            "make the spec with this version (`plan --runs`), or use the version that made it"
        )
    return from_dict(spec_class(body["stage"]), body["spec"])


def spec_class(stage: str) -> type[Spec]:
    """Class of the specs of a stage; that of a room of its own is imported at first use."""
    found: type[Spec] = OWN_STAGES[stage].load("spec:SPEC") if stage in OWN_STAGES else STAGES[stage]
    return found
