"""Weight agnostic networks (Gaier & Ha, NeurIPS 2019): the released champion, and searches of our own."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="wann",
    title="Weight agnostic networks: one weight for all connections",
    package=__name__,
    category="Methods beside the paper's",
    trains_on_cpu=True,
    caption=(
        "Networks are searched for that act well whatever the one weight is that all their connections share. Left: "
        "fitness of each generation's best network at swinging up a pole (hollow: the authors' sample run). Middle: "
        "reward of the authors' released network by shared weight. Right: accuracy of the networks found on 8x8 "
        "digits, by kind of weights."
    ),
)
