# From records to tables, figures and the comparison with the paper.


rule tabulate:
    input:
        records_of,
    output:
        report(
            RESULTS + "/tables/{scale}/{item}.csv",
            caption="../report/table.rst",
            category=lambda w: experiment(w).category,
            subcategory=lambda w: experiment(w).title,
            labels=lambda w: {"scale": w.scale, "what": "table"},
        ),
    log:
        RESULTS + "/logs/tabulate/{scale}/{item}.log",
    params:
        overrides=OVERRIDES,
        results=RESULTS,
        title=lambda w: experiment(w).title,
        caption=lambda w: experiment(w).caption,
    conda:
        "../../environment.yml"
    shell:
        "python -m ebreplicate tabulate {wildcards.item} --scale {wildcards.scale} --results {params.results} "
        "{params.overrides} 2> >(tee {log} >&2)"


rule plot:
    input:
        RESULTS + "/tables/{scale}/{item}.csv",
    output:
        report(
            "figures/{scale}/{item}.svg",
            caption="../report/figure.rst",
            category=lambda w: experiment(w).category,
            subcategory=lambda w: experiment(w).title,
            labels=lambda w: {"scale": w.scale, "what": "figure"},
        ),
    log:
        RESULTS + "/logs/plot/{scale}/{item}.log",
    params:
        overrides=OVERRIDES,
        results=RESULTS,
        title=lambda w: experiment(w).title,
        caption=lambda w: experiment(w).caption,
    conda:
        "../../environment.yml"
    shell:
        "python -m ebreplicate plot {wildcards.item} --scale {wildcards.scale} --results {params.results} "
        "{params.overrides} --output {output} 2> >(tee {log} >&2)"


rule compare:
    input:
        expand(RESULTS + "/tables/{{scale}}/{item}.csv", item=EXPERIMENTS),
    output:
        report(
            RESULTS + "/comparison/{scale}.csv",
            caption="../report/comparison.rst",
            category="Comparison with the paper",
            labels={"scale": "{scale}", "what": "every printed number beside ours"},
        ),
        report(
            RESULTS + "/comparison/{scale}_claims.csv",
            caption="../report/claims.rst",
            category="Comparison with the paper",
            labels={"scale": "{scale}", "what": "claims and verdicts"},
        ),
        RESULTS + "/comparison/{scale}.md",
    log:
        RESULTS + "/logs/compare/{scale}.log",
    params:
        overrides=OVERRIDES,
        results=RESULTS,
    conda:
        "../../environment.yml"
    shell:
        "python -m ebreplicate compare --scale {wildcards.scale} --results {params.results} {params.overrides} "
        "2> >(tee {log} >&2)"
