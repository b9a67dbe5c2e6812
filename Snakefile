"""Every table and figure of the paper, from training to the comparison with the printed numbers.

    snakemake --cores all                                  everything at the default scale (smoke)
    snakemake --cores all --config scale=quick             everything at another scale
    snakemake --cores all --config scale=paper             the papers' own scale; without a GPU, what a CPU can train
    snakemake --cores 2 figures/quick/fig1_existence.svg   one figure and what it needs

The stages are those of EB Train: search -> draw -> retrain -> evaluate -> compare; a ticket is drawn by the job that needs it.
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
    print(jobs.ahead(config, ASKED))
    if omitted := jobs.left_out(config, ASKED):
        print(omitted)
    manifest.write(Plan(chain(*jobs.asked(config).values())), Path(RESULTS), config["processes"])


onsuccess:
    print(
        f"done. Figures: {FIGURES}/{config['scale']}/   Comparison: {RESULTS}/comparison/{config['scale']}.md   "
        "All results to browse: `python -m ebreplicate site`, then site/index.html"
    )


rule all:
    default_target: True
    input:
        everything(),


rule cpu_paper:
    input:
        figures("paper", jobs.on_cpu()),
