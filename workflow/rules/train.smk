# Training stages. Shell lines are written once and for all: an edited line would rerun every training job.
# stderr goes to the terminal and to the log. A run fetches its dataset itself: a dataset that were an input, made by a
# job, would have Snakemake run finished (committed) searches again, because "an input was updated by another job".


rule search:
    input:
        needs(Search),
    output:
        f"{RESULTS}/runs/search/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/search/{{run}}.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        tmpdir=tempfile.gettempdir(),
    params:
        command=COMMAND,
    shell:
        "{params.command:{wildcards.run}} --threads {threads} 2> >(tee {log} >&2)"


rule draw:
    input:
        needs(Ticket),
    output:
        f"{RESULTS}/runs/draw/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/draw/{{run}}.log",
    conda:
        "../../environment.yml"
    resources:
        tmpdir=tempfile.gettempdir(),
    params:
        command=COMMAND,
    shell:
        "{params.command:{wildcards.run}} 2> >(tee {log} >&2)"


rule retrain:
    input:
        needs(Retrain),
    output:
        f"{RESULTS}/runs/retrain/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/retrain/{{run}}.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        tmpdir=tempfile.gettempdir(),
    params:
        command=COMMAND,
    shell:
        "{params.command:{wildcards.run}} --threads {threads} 2> >(tee {log} >&2)"


rule sparse:
    input:
        needs(Sparse),
    output:
        f"{RESULTS}/runs/sparse/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/sparse/{{run}}.log",
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        tmpdir=tempfile.gettempdir(),
    params:
        command=COMMAND,
    shell:
        "{params.command:{wildcards.run}} --threads {threads} 2> >(tee {log} >&2)"


rule graph:
    input:
        needs(GraphTickets),
    output:
        f"{RESULTS}/runs/graph/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/graph/{{run}}.log",
    conda:
        "../../environment.yml"
    resources:
        tmpdir=tempfile.gettempdir(),
    params:
        command=COMMAND,
    shell:
        "{params.command:{wildcards.run}} 2> >(tee {log} >&2)"
