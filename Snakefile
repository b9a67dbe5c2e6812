"""Every table and figure of the paper, from training to the comparison with the printed numbers.

    snakemake --cores all                                  everything at the default scale (smoke)
    snakemake --cores all --config scale=quick             everything at another scale
    snakemake --cores 2 figures/quick/fig1_existence.svg   one figure and what it needs

The stages are those of EB Train: search -> draw -> retrain -> tabulate -> plot / compare.
"""

import os

from snakemake.utils import min_version

min_version("9.0")


configfile: os.path.join(workflow.basedir, "workflow/config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"


onstart:
    without_rate_limit(workflow.scheduler)


rule all:
    default_target: True
    input:
        everything(SCALE),
