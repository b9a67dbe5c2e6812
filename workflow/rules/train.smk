# Training stages. Shell lines are written once and for all: an edited line would rerun every training job.
# stderr goes to the terminal and to the log.


rule dataset:
    output:
        touch(f"{RESULTS}/data/{{dataset}}.verified"),
    log:
        f"{RESULTS}/logs/data/{{dataset}}.log",
    conda:
        "../../environment.yml"
    resources:
        data=config["data"],
    shell:
        "python -m ebreplicate data {wildcards.dataset} --data {resources.data:q} 2> >(tee {log} >&2)"


rule search:
    input:
        dataset_of,
    output:
        f"{RESULTS}/runs/search/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/search/{{run}}.log",
    conda:
        "../../environment.yml"
    threads: training_threads
    # Resources, because unlike params a change of them reruns nothing: where a run trains, and which weights it leaves
    # for draws, is not what it computes.
    resources:
        data=config["data"],
        device=config["device"],
        keep=lambda wildcards: PLAN.keep[wildcards.run].flags,
    params:
        spec=spec_json(Search),
        results=results_root,
    shell:
        "python -m ebreplicate search {params.spec:q} {resources.keep} --results {params.results:q} "
        "--data {resources.data:q} --device {resources.device} --threads {threads} 2> >(tee {log} >&2)"


rule draw:
    input:
        needs(Ticket),
        dataset_of,
    output:
        f"{RESULTS}/runs/draw/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/draw/{{run}}.log",
    conda:
        "../../environment.yml"
    resources:
        data=config["data"],
    params:
        spec=spec_json(Ticket),
        results=results_root,
    shell:
        "python -m ebreplicate draw {params.spec:q} --results {params.results:q} --data {resources.data:q} "
        "2> >(tee {log} >&2)"


rule retrain:
    input:
        needs(Retrain),
        dataset_of,
    output:
        f"{RESULTS}/runs/retrain/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/retrain/{{run}}.log",
    conda:
        "../../environment.yml"
    threads: training_threads
    resources:
        data=config["data"],
        device=config["device"],
        keep=lambda wildcards: PLAN.keep[wildcards.run].flags,
    params:
        spec=spec_json(Retrain),
        results=results_root,
    shell:
        "python -m ebreplicate retrain {params.spec:q} {resources.keep} --results {params.results:q} "
        "--data {resources.data:q} --device {resources.device} --threads {threads} 2> >(tee {log} >&2)"


rule sparse:
    input:
        dataset_of,
    output:
        f"{RESULTS}/runs/sparse/{{run}}/record.json",
    log:
        f"{RESULTS}/logs/sparse/{{run}}.log",
    conda:
        "../../environment.yml"
    threads: training_threads
    resources:
        data=config["data"],
        device=config["device"],
    params:
        spec=spec_json(Sparse),
        results=results_root,
    shell:
        "python -m ebreplicate sparse {params.spec:q} --results {params.results:q} "
        "--data {resources.data:q} --device {resources.device} --threads {threads} 2> >(tee {log} >&2)"
