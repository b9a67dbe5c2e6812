# Training stages. One shell line, the same for every run: an edited line, or one with a setting in it, would make
# Snakemake train finished runs again. What a key means is in the manifest, which Snakemake writes when it starts.
# Where datasets and results are and which device trains is in the environment (common.smk).
# A run fetches its dataset itself: a dataset that were an input, made by a job, would have Snakemake run finished
# (committed) searches again, because "an input was updated by another job".
# update(): Snakemake deletes other outputs before a job, and a finished record must survive a forced job that fails.


for stage in ("search", "retrain", "sparse", "adapt"):

    rule:
        name:
            stage
        input:
            needs(stage),
        output:
            update(f"{RESULTS}/runs/{stage}/{{run}}/record.json"),
        log:
            f"{RESULTS}/logs/{stage}/{{run}}.log",
        priority: lambda w: jobs.priority(PLAN.runs[w.run])
        conda:
            "../../environment.yml"
        threads: config["threads"]
        resources:
            tmpdir=tempfile.gettempdir(),  # Snakemake's default is an expression, evaluated for every job
            gpu=jobs.gpus_of_a_training(config),
        params:
            stage=stage,
        shell:
            "python -m ebreplicate {params.stage} {wildcards.run} --threads {threads} 2> >(tee {log} >&2)"


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
