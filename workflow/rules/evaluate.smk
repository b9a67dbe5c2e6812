# From records to tables, figures and the comparison with the paper.


rule evaluate:
    input:
        records_of,
    output:
        report(
            f"{RESULTS}/tables/{{scale}}/{{item}}.csv",
            caption="../report/table.rst",
            category=lambda w: experiment(w).category,
            subcategory=lambda w: experiment(w).title,
            labels=lambda w: {"scale": w.scale, "what": "table"},
        ),
        report(
            f"{FIGURES}/{{scale}}/{{item}}.svg",
            caption="../report/figure.rst",
            category=lambda w: experiment(w).category,
            subcategory=lambda w: experiment(w).title,
            labels=lambda w: {"scale": w.scale, "what": "figure"},
        ),
    log:
        f"{RESULTS}/logs/evaluate/{{scale}}/{{item}}.log",
    conda:
        "../../environment.yml"
    params:
        overrides=OVERRIDES,
        title=lambda w: experiment(w).title,
        caption=lambda w: experiment(w).caption,
    shell:
        "python -m ebreplicate evaluate {wildcards.item} --scale {wildcards.scale} {params.overrides} "
        "2> >(tee {log} >&2)"


rule compare:
    input:
        expand(f"{RESULTS}/tables/{{{{scale}}}}/{{item}}.csv", item=EXPERIMENTS),
    output:
        report(
            f"{RESULTS}/comparison/{{scale}}.csv",
            caption="../report/comparison.rst",
            category="Comparison with the paper",
            labels={"scale": "{scale}", "what": "every printed number beside ours"},
        ),
        report(
            f"{RESULTS}/comparison/{{scale}}_claims.csv",
            caption="../report/claims.rst",
            category="Comparison with the paper",
            labels={"scale": "{scale}", "what": "claims and verdicts"},
        ),
        f"{RESULTS}/comparison/{{scale}}.md",
    log:
        f"{RESULTS}/logs/compare/{{scale}}.log",
    conda:
        "../../environment.yml"
    params:
        overrides=OVERRIDES,
    shell:
        "python -m ebreplicate compare --scale {wildcards.scale} {params.overrides} 2> >(tee {log} >&2)"
