"""RigL's character language model (Evci et al., ICML 2020, section 4.2, Figure 4 left, appendix I)."""

from ebreplicate.experiments.common.experiment import Experiment

EXPERIMENT = Experiment(
    item="rigl_lm",
    title="RigL on a character language model",
    package=__name__,
    functions={"cells": None},
    category="Methods beside the paper's",
    caption=(
        "A gated recurrent unit predicts the next character of a text, with three quarters of the weights of four "
        "layers zero. Left: validation cross-entropy in bits per character after the last step, by method. Right: the "
        "same during training, mean over seeds. The paper shows its values only in a figure, which was not available."
    ),
)
