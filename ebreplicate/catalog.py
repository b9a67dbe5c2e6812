"""Every name that a run can have: networks, datasets, graphs, pruning methods, sparse training methods. No torch.

A registry knows its names without importing what they stand for, so that planning never imports torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ebreplicate.errors import UserError, unknown


class Registry:
    """Names to `module:attribute`, imported at first use.

    `parts`: further names, for parts of what is registered. They can be asked for, and are not listed.
    """

    def __init__(self, kind: str, targets: dict[str, str], parts: dict[str, str] | None = None):
        self.kind = kind
        self.parts = parts or {}
        self.targets = targets
        """What names stand for: module:attribute."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.targets)

    def __contains__(self, name: object) -> bool:
        return name in self.targets

    def check(self, name: str) -> str:
        """Return `name`; raise UserError with the nearest known name if there is no such entry."""
        known = {**self.targets, **self.parts}
        if name not in known:
            raise unknown(self.kind, name, known)
        return name

    def load(self, name: str) -> Any:
        """Import and return what `name` stands for; raises UserError for an unknown name."""
        module, attribute = {**self.targets, **self.parts}[self.check(name)].split(":")
        return getattr(import_module(module), attribute)


MODELS = Registry(
    "model",
    {
        "vgg16": "ebreplicate.models.vgg:vgg16",
        "vgg19": "ebreplicate.models.vgg:vgg19",
        "preresnet20": "ebreplicate.models.preresnet:preresnet20",
        "preresnet29": "ebreplicate.models.preresnet:preresnet29",
        "preresnet56": "ebreplicate.models.preresnet:preresnet56",
        "preresnet101": "ebreplicate.models.preresnet:preresnet101",
        "preresnet164": "ebreplicate.models.preresnet:preresnet164",
        "resnet18": "ebreplicate.models.resnet:resnet18",
        "wideresnet22x2": "ebreplicate.models.wideresnet:wideresnet22x2",
        "resnet20": "ebreplicate.models.resnet20:resnet20",
        "supernet": "ebreplicate.models.supernet:supernet",
        "mobilenet": "ebreplicate.models.mobilenet:mobilenet",
        "lenet300": "ebreplicate.models.lenet:lenet300",
        "conv2": "ebreplicate.models.lenet:conv2",
        "conv4": "ebreplicate.models.lenet:conv4",
        "conv6": "ebreplicate.models.lenet:conv6",
        "resnet50": "ebreplicate.models.resnet:resnet50",
        "gru": "ebreplicate.models.gru:gru",
    },
)
SUPERNETS = ("supernet",)
"""Networks whose channels a search can remove while it trains."""
KERNELS = (3, 5, 7)
"""Sizes of their depthwise kernels."""
SHAPED = ("lenet300", "conv2", "conv4", "conv6")
"""Networks whose linear layers depend on the size of an image."""
ON_TEXT = ("gru",)
"""Networks that read a text and take no images."""
SYMBOL = (1, 1, 1)
"""Shape of a symbol of a text, where an image has (channels, height, width)."""
FULLY_CONNECTED = ("lenet300",)
"""Networks that are a chain of linear layers, so that dead pixels and neurons can be removed from them."""
VGG_SIDES = range(32, 64)
"""Sides of an image that VGG's four poolings and its 2x2 average pool reduce to one pixel."""


def check_images(name: str, shape: tuple[int, int, int]) -> None:
    """Raise UserError for images of `shape` (channels, height, width) that network `name` does not take, naming those
    that do."""
    if not takes_images(MODELS.check(name), shape):
        others = ", ".join(other for other in MODELS if takes_images(other, shape))
        size = "x".join(map(str, shape))
        raise UserError(f"model: {name} takes no images of {size} (channels, height, width); those that do: {others}")


def takes_images(name: str, shape: tuple[int, int, int]) -> bool:
    """Whether network `name` takes images of `shape` (channels, height, width)."""
    if (name in ON_TEXT) != (shape == SYMBOL):
        return False
    if name.startswith("vgg") and not all(side in VGG_SIDES for side in shape[1:]):
        return False
    return name in (*SHAPED, *ON_TEXT) or shape[0] == 3


@dataclass(frozen=True)
class DatasetInfo:
    """What planning and cost need to know of a dataset. Sizes are image counts; of a text, the characters predicted in
    an epoch and in an evaluation, unless a spec says how many."""

    classes: int
    train: int
    test: int
    title: str
    side: int = 32
    channels: int = 3
    files: bool = False
    """True if it lies as files under the data root."""
    streamed: bool = False
    """True if it is read image by image from class folders, too large for a device's memory."""
    text: bool = False
    """True if it is a text, of which each character (a byte) is predicted from those before it."""
    of: tuple[int, ...] = ()
    """Of a task, the labels of the dataset it is a part of: its images are those that have one, its own labels their
    places."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (channels, side, side)."""
        return (self.channels, self.side, self.side)


INFO = {
    "digits": DatasetInfo(10, 1437, 360, "handwritten digits (scikit-learn), upscaled to 32x32"),
    "digits100": DatasetInfo(100, 4000, 1000, "pairs of handwritten digits, 100 classes, 32x32"),
    "cifar10": DatasetInfo(10, 50_000, 10_000, "CIFAR-10", files=True),
    "cifar100": DatasetInfo(100, 50_000, 10_000, "CIFAR-100", files=True),
    "mnist": DatasetInfo(10, 60_000, 10_000, "MNIST", side=28, channels=1, files=True),
    "folders": DatasetInfo(
        10, 1437, 360, "handwritten digits (scikit-learn) as 40x40 image files", 64, files=True, streamed=True
    ),
    "imagenet": DatasetInfo(1000, 1_281_167, 50_000, "ImageNet (ILSVRC 2012)", 224, files=True, streamed=True),
    "text": DatasetInfo(256, 2**20, 120_000, "a text that the user provides", 1, 1, files=True, text=True),
    "grammar": DatasetInfo(256, 2**14, 2**11, "sentences of a small grammar, made on the fly", 1, 1, text=True),
}
USERS_FILES = {"imagenet": "imagenet/train", "text": "text/train.txt"}
"""Of datasets that nobody can download for the user, what must be under the data root."""
HOME = {"mnist": "mnist", "folders": "folders", "imagenet": "folders", "text": "text", "grammar": "text"}
"""Modules of ebreplicate.data that hold loaders; the others are in `arrays`."""
ON_DISK = tuple(name for name, info in INFO.items() if info.files)
FOLDERS = tuple(name for name, info in INFO.items() if info.streamed)
SUPERCLASSES = {
    "aquatic-mammals": (4, 30, 55, 72, 95),
    "fish": (1, 32, 67, 73, 91),
    "flowers": (54, 62, 70, 82, 92),
    "food-containers": (9, 10, 16, 28, 61),
    "fruit-and-vegetables": (0, 51, 53, 57, 83),
    "household-electrical-devices": (22, 39, 40, 86, 87),
    "household-furniture": (5, 20, 25, 84, 94),
    "insects": (6, 7, 14, 18, 24),
    "large-carnivores": (3, 42, 43, 88, 97),
    "large-man-made-outdoor-things": (12, 17, 37, 68, 76),
    "large-natural-outdoor-scenes": (23, 33, 49, 60, 71),
    "large-omnivores-and-herbivores": (15, 19, 21, 31, 38),
    "medium-mammals": (34, 63, 64, 66, 75),
    "non-insect-invertebrates": (26, 45, 77, 79, 99),
    "people": (2, 11, 35, 46, 98),
    "reptiles": (27, 29, 44, 78, 93),
    "small-mammals": (36, 50, 65, 74, 80),
    "trees": (47, 52, 56, 59, 96),
    "vehicles-1": (8, 13, 48, 58, 90),
    "vehicles-2": (41, 69, 81, 85, 89),
}
"""Fine labels of each superclass of CIFAR-100, as its files have them (coarse labels, in this order)."""
TASKS = {
    **{
        f"cifar100-{name}": DatasetInfo(5, 2500, 500, f"CIFAR-100, {name.replace('-', ' ')}", files=True, of=labels)
        for name, labels in SUPERCLASSES.items()
    },
    "digits-low": DatasetInfo(5, 721, 180, "handwritten digits 0 to 4", of=(0, 1, 2, 3, 4)),
    "digits-high": DatasetInfo(5, 716, 180, "handwritten digits 5 to 9", of=(5, 6, 7, 8, 9)),
}
"""Parts of a dataset, a few classes each: its name begins theirs."""
DATASETS = Registry(
    "dataset",
    {name: f"ebreplicate.data.{HOME.get(name, 'arrays')}:load_{name}" for name in INFO},
    {name: f"ebreplicate.data.arrays:load_{name.partition('-')[0]}" for name in TASKS},
)
INFO |= TASKS
GCN_HIDDEN = 16
"""Hidden units of the GCN."""
GRAPH_SEARCH_ROUNDS = 4
"""ADMM rounds of a search over edges alone."""
GRAPH_ARMS = ("dense-fresh", "inherit-masked", "masked-fresh")
"""How a ticket is retrained. As shipped: fresh weights, no mask; as the paper has it: the ticket's weights, masked; and
fresh weights, masked."""
GRAPH_RULES = ("graph", "weights", "mean", "sum")
"""What the detector compares with its threshold: distances of edges, of weights, their mean, their sum."""


@dataclass(frozen=True)
class GraphInfo:
    """What planning and cost need to know of a graph.

    `printed_nodes` and `printed_edges` are those of Table 1 of the GEBT paper, with which it counts FLOPs; CiteSeer has
    15 more nodes, and the raw pairs hold repeats and self-loops.
    """

    title: str
    nodes: int
    edges: int
    features: int
    classes: int
    printed_nodes: int
    printed_edges: int
    files: bool = True
    """True if it lies as files under the data root."""

    def macs(self, p_graph: float = 0.0, p_weight: float = 0.0) -> float:
        """Multiply-accumulates of one forward pass, as the paper counts them.

        (1 - p_w)(N F 16 + N 16 C) + (1 - p_g) 2 E F: the first layer aggregates the features, the second layer's
        aggregation is not counted.
        """
        n, f, c = self.printed_nodes, self.features, self.classes
        return (1 - p_weight) * (n * f * GCN_HIDDEN + n * GCN_HIDDEN * c) + (1 - p_graph) * 2 * self.printed_edges * f


GRAPHS = {
    "cora": GraphInfo("Cora", 2708, 5278, 1433, 7, 2708, 5429),
    "citeseer": GraphInfo("CiteSeer", 3327, 4552, 3703, 6, 3312, 4732),
    "pubmed": GraphInfo("PubMed", 19717, 44324, 500, 3, 19717, 44338),
    "blocks": GraphInfo("stochastic block model", 240, 720, 60, 3, 240, 720, files=False),
}
"""`blocks` is made on the fly: a stand-in that needs no download."""
GRAPH_FOLDER = "planetoid"
"""Of the npz files, under the data root."""
METHODS = Registry(
    "method",
    {
        "slimming": "ebreplicate.pruning.methods.slimming:slimming",
        "random": "ebreplicate.pruning.methods.random:random_channels",
        "thinet": "ebreplicate.pruning.methods.thinet:thinet",
        "uniform": "ebreplicate.pruning.methods.uniform:uniform",
        "magnitude": "ebreplicate.pruning.methods.magnitude:magnitude",
        "random-weights": "ebreplicate.pruning.methods.magnitude:random_weights",
        "nonzero": "ebreplicate.pruning.methods.magnitude:nonzero",
        "taylor": "ebreplicate.pruning.methods.taylor:taylor",
        "soft": "ebreplicate.pruning.methods.soft:soft",
        "crop": "ebreplicate.pruning.methods.crop:crop",
        "crop-leak": "ebreplicate.pruning.methods.crop:crop_leak",
        "crop-weights": "ebreplicate.pruning.methods.crop:crop_weights",
        "grasp-weights": "ebreplicate.pruning.methods.crop:grasp_weights",
    },
)
WEIGHT_METHODS = ("magnitude", "random-weights", "nonzero", "crop-weights", "grasp-weights")
"""Methods whose mask is over single weights (every convolution and linear weight), not channels."""
GRADIENT_FLOW_METHODS = ("crop", "crop-leak", "crop-weights", "grasp-weights")
"""Methods that score by gradients on labelled images, and can therefore prune the untrained network (draw epoch 0)."""
NEEDS_WEIGHTS = ("thinet", "uniform", "magnitude", "random-weights", "nonzero", "soft", *GRADIENT_FLOW_METHODS)
"""Methods that look at the weights of the draw epoch, which the search must therefore keep."""
DISPLACEMENT_DRAWS = ("crop", "crop-code")
"""Draws where the weights have stopped moving (EarlyCroP): by the paper's rule, second hand, and by its code's."""
DISTRIBUTIONS = ("uniform", "erk", "erk-kernel")
"""Sparsity of each layer: equal (first layer dense); Erdos-Renyi over (in, out); the same with kernel sizes (RigL,
section 3)."""
SPARSIFIERS = Registry(
    "sparse method",
    {
        "static": "ebreplicate.training.sparse:Static",
        "small-dense": "ebreplicate.training.sparse:SmallDense",
        "snip": "ebreplicate.training.sparse:SNIP",
        "set": "ebreplicate.training.dynamic:SET",
        "snfs": "ebreplicate.training.dynamic:SNFS",
        "rigl": "ebreplicate.training.dynamic:RigL",
        "gmp": "ebreplicate.training.dynamic:GradualMagnitude",
    },
)
PIGGYBACK, KERNEL_BINARY, KERNEL_ZEROS, KERNEL_ALL = "piggyback", "kernel-binary", "kernel-zeros", "kernel-all"
MASKED = (PIGGYBACK, KERNEL_BINARY, KERNEL_ZEROS, KERNEL_ALL)
"""Masks over the frozen weights of a trained network, for another task (docs/kernel-masks.md): binary, over weights;
binary, over kernels; over kernels, with real values for those that are off; with real values for all."""
NORMS, FINE_TUNING = "norms", "fine-tuning"
ADAPTIONS = (*MASKED, NORMS, FINE_TUNING)
"""What trains when a network is adapted to a task: a mask, batch norms and the classifier; these two alone; or all."""


@dataclass(frozen=True)
class OwnStage:
    """A stage that a room of its own brings: `room` has the class of its specs (spec:SPEC), what runs one
    (stage:run) and what is wrong with a record (checks:problems).

    `title`, `help`: of the site and the command line. `metrics`: what every record of it has.
    """

    room: str
    title: str
    help: str
    metrics: tuple[str, ...]

    def load(self, target: str) -> Any:
        """An object of the room, as module:name."""
        module, name = target.split(":")
        return getattr(import_module(f"{self.room}.{module}"), name)


OWN_STAGES = {
    "wann": OwnStage("ebreplicate.wann", "Weight agnostic network", "search networks of one weight", ("score",)),
}
"""By the name of stage and command. Without a line here, its room can be deleted."""
TITLES = {
    "vgg16": "VGG16",
    "preresnet101": "PreResNet101",
    "wideresnet22x2": "WRN-22-2",
    "resnet20": "ResNet-20",
    "supernet": "supernet of mixed kernels",
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "mobilenet": "MobileNet-v1",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
}
TITLES |= {"lenet300": "LeNet-300-100", "conv2": "Conv-2", "conv4": "Conv-4", "conv6": "Conv-6", "mnist": "MNIST"}
TITLES |= {"vgg19": "VGG-19", "preresnet20": "PreResNet20 (for ResNet-18)"}
