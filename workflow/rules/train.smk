# Training stages. One shell line, the same for every run: an edited line, or one with a setting in it, would make
# Snakemake train finished runs again. What a key means is in the manifest, which Snakemake writes when it starts.
# Where the datasets are and which device trains is in the environment (common.smk).
# A run fetches its dataset itself: a dataset that were an input, made by a job, would have Snakemake run finished
# (committed) searches again, because "an input was updated by another job".
# update(): Snakemake deletes other outputs before a job, and a finished record must survive a forced job that fails.


rule search:
    input:
        needs("search"),
    output:
        update(f"{RESULTS}/runs/search/{{run}}/record.json"),
    log:
        f"{RESULTS}/logs/search/{{run}}.log",
    priority: order_of
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        tmpdir=tempfile.gettempdir(),  # Snakemake's default is an expression, evaluated for every job
        gpu=USES_GPU,
    params:
        stage="search",
        results=results_root,
    shell:
        "python -m ebreplicate {params.stage} {wildcards.run} --results {params.results} --threads {threads} "
        "2> >(tee {log} >&2)"


use rule search as retrain with:
    input:
        needs("retrain"),
    output:
        update(f"{RESULTS}/runs/retrain/{{run}}/record.json"),
    log:
        f"{RESULTS}/logs/retrain/{{run}}.log",
    params:
        stage="retrain",
        results=results_root,


use rule search as sparse with:
    input:
        needs("sparse"),
    output:
        update(f"{RESULTS}/runs/sparse/{{run}}/record.json"),
    log:
        f"{RESULTS}/logs/sparse/{{run}}.log",
    params:
        stage="sparse",
        results=results_root,


use rule search as graph with:
    input:
        needs("graph"),
    output:
        update(f"{RESULTS}/runs/graph/{{run}}/record.json"),
    log:
        f"{RESULTS}/logs/graph/{{run}}.log",
    resources:
        tmpdir=tempfile.gettempdir(),
        gpu=0,  # on the CPU
    params:
        stage="graph",
        results=results_root,
