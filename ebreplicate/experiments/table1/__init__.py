"""Table 1, learning-rate schedules: does a large initial rate make early-bird tickets emerge sooner and better?"""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="table1_schedules",
    title="Table 1: learning-rate schedules of the search",
    package=__name__,
    category="Paper tables",
    caption=(
        "Half of the channels are removed after 10, 20, 40 or all epochs of two searches that differ in the learning "
        "rate only: the usual schedule (decays at epochs 80 and 120) and one that starts at a tenth of the rate "
        "(decays at 0 and 100). All small networks are then trained alike. Shown is the accuracy of a ticket of the "
        "first search minus that of the second (vertical, percentage points)."
    ),
)
