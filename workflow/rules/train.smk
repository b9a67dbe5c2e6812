# Training stages. One shell line, the same for every run: an edited line, or one with a setting in it, would make
# Snakemake train finished runs again. What a key means is in the manifest, which Snakemake writes when it starts.
# Where datasets and results are and which device trains is in the environment (common.smk).
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
    priority: lambda w: jobs.priority(PLAN.runs[w.run])
    conda:
        "../../environment.yml"
    threads: config["threads"]
    resources:
        tmpdir=tempfile.gettempdir(),  # Snakemake's default is an expression, evaluated for every job
        gpu=jobs.gpus_of_a_training(config),
    params:
        stage="search",
    shell:
        "python -m ebreplicate {params.stage} {wildcards.run} --threads {threads} 2> >(tee {log} >&2)"


use rule search as retrain with:
    input:
        needs("retrain"),
    output:
        update(f"{RESULTS}/runs/retrain/{{run}}/record.json"),
    log:
        f"{RESULTS}/logs/retrain/{{run}}.log",
    params:
        stage="retrain",


use rule search as sparse with:
    input:
        needs("sparse"),
    output:
        update(f"{RESULTS}/runs/sparse/{{run}}/record.json"),
    log:
        f"{RESULTS}/logs/sparse/{{run}}.log",
    params:
        stage="sparse",


use rule search as adapt with:
    input:
        needs("adapt"),
    output:
        update(f"{RESULTS}/runs/adapt/{{run}}/record.json"),
    log:
        f"{RESULTS}/logs/adapt/{{run}}.log",
    params:
        stage="adapt",


# Short trainings share a job. The command skips finished runs.
for batch, runs in BATCHES.items():

    rule:
        name:
            f"train_{batch}"
        input:
            outside(runs),
        output:
            update([record_of(run) for run in runs]),
        log:
            f"{RESULTS}/logs/batches/{batch}.log",
        priority: jobs.priority(runs[0])
        conda:
            "../../environment.yml"
        threads: config["threads"]
        resources:
            tmpdir=tempfile.gettempdir(),
            gpu=jobs.gpus_of_a_training(config) * (not isinstance(runs[0], Alone)),  # these use the CPU
        params:
            stage=runs[0].stage,
            runs=[key(run) for run in runs],
        shell:
            "python -m ebreplicate {params.stage} {params.runs} --threads {threads} 2> >(tee {log} >&2)"
