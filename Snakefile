"""Every table and figure of the paper, from training to the comparison with the printed numbers.

    snakemake --cores all                                  everything at the default scale (smoke)
    snakemake --cores all --config scale=quick             everything at another scale
    snakemake --cores all --config scale=paper             the papers' own scale; without a GPU, what a CPU can train
    snakemake --cores 2 figures/quick/fig1_existence.svg   one figure and what it needs

The stages are those of EB Train: search -> draw -> retrain -> tabulate -> plot / compare; whoever needs a ticket draws it.
"""

import os

from snakemake.utils import min_version

min_version("9.0")


configfile: os.path.join(workflow.basedir, "workflow/config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/workarounds.smk"


onstart:
    print(expectation())
    if CPU_ONLY and SCALE == "paper":
        print(
            "no GPU: only what a CPU can train at the papers' own scale; --config device=cuda asks for everything"
        )
    left_out = sum(without_images(s) for s in Plan(s for i in EXPERIMENTS for s in ASKED[SCALE, i]).runs.values())
    if left_out and not (CPU_ONLY and SCALE == "paper"):
        print(f"no ImageNet in {config['data']}/imagenet: {left_out} of its runs are left out (docs/imagenet.md)")
    manifest.write(PLAN, Path(RESULTS), config["processes"])
    without_rate_limit(workflow.scheduler)


onsuccess:
    print(
        f"done. Figures: {FIGURES}/{SCALE}/   Comparison: {RESULTS}/comparison/{SCALE}.md   All results to browse: "
        "`python -m ebreplicate site`, then site/index.html"
    )


rule all:
    default_target: True
    input:
        everything(SCALE),


rule cpu_paper:
    input:
        on_cpu("paper"),
