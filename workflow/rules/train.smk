rule train:
    input:
        data="<results>/data/{dataset}.npz",
        tuning=chosen_learning_rate,
    output:
        **GRADIENT_FLOW,
        log="<results>/runs/{dataset}/depth{depth}/{strategy}/{recipe}/seeds{seeds}.csv",
        manifest="<results>/runs/{dataset}/depth{depth}/{strategy}/{recipe}/seeds{seeds}.json",
    log:
        "<logs>/train/{dataset}/depth{depth}/{strategy}/{recipe}/seeds{seeds}.log",
    benchmark:
        "<benchmarks>/train/{dataset}/depth{depth}/{strategy}/{recipe}/seeds{seeds}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
        gpu=gpus,
    params:
        study=STUDY_FILE,
        cell=cell_of,
        factory=lambda wildcards: code_of_factory(study.recipes[wildcards.recipe].network),
        device=config["device"],
        code=fingerprint("altfreeze.training.trainer", "altfreeze.training.log"),
        # no output: Snakemake deletes those of a job that failed or begins anew
        checkpoint=f"{config['results']}/checkpoints/{{dataset}}/depth{{depth}}/{{strategy}}/{{recipe}}/seeds{{seeds}}.pt",
        flow=lambda wildcards, output: output.get("flow", ""),
    message:
        "Train {wildcards.strategy} on {wildcards.dataset}, depth {wildcards.depth}, seeds {wildcards.seeds},"
        " recipe {wildcards.recipe} (GPUs: {resources.gpu})"
    shell:
        "python -m altfreeze train --study {params.study:q} --data {input.data:q} --dataset {wildcards.dataset} "
        "--depth {wildcards.depth} --strategy {wildcards.strategy} "
        "--recipe {wildcards.recipe} --seeds {wildcards.seeds} --device {params.device} "
        "--threads {threads} --memory {resources.mem_mb} --output {output.log:q} --manifest {output.manifest:q} "
        "--tuning {input.tuning:q} --gradient-flow {params.flow:q} --checkpoint {params.checkpoint:q} 2> {log:q}"


rule tune:
    input:
        "<results>/data/{dataset}.npz",
    output:
        "<results>/tuning/{dataset}/depth{depth}/{strategy}/{recipe}.json",
    log:
        "<logs>/tune/{dataset}/depth{depth}/{strategy}/{recipe}.log",
    benchmark:
        "<benchmarks>/tune/{dataset}/depth{depth}/{strategy}/{recipe}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=gpus,
    params:
        study=STUDY_FILE,
        cell=cell_of,
        factory=lambda wildcards: code_of_factory(study.recipes[wildcards.recipe].network),
        learning_rates=config["learning_rates_to_try"],
        metric=config["metric"],
        calibration_seeds=lambda wildcards: len(study.calibration_seeds_of(wildcards.recipe)),
        device=config["device"],
        code=fingerprint("altfreeze.training.trainer", "altfreeze.training.tuning"),
    message:
        "Tune {wildcards.strategy} on {wildcards.dataset}, depth {wildcards.depth}, recipe {wildcards.recipe} (GPUs: {resources.gpu})"
    shell:
        "python -m altfreeze tune --study {params.study:q} --data {input:q} --dataset {wildcards.dataset} "
        "--depth {wildcards.depth} --strategy {wildcards.strategy} --recipe {wildcards.recipe} --device {params.device} "
        "--threads {threads} --memory {resources.mem_mb} --output {output:q} 2> {log:q}"
