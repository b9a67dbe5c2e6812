"""Figure 3, mask distance: how far the masks of any two epochs of a search are apart."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="fig3_mask_distance",
    title="Figure 3: distances between the masks of all epochs",
    package=__name__,
    category="Paper figures",
    caption=(
        "Each heat-map compares the channel masks of every pair of epochs of one training run: dark means many "
        "channels differ, light means the masks agree. A light square that begins early says that the set of channels "
        "worth keeping is decided early. Dashed lines mark where the detector fires."
    ),
)
