rule train:
    input:
        "<results>/data/{dataset}.npz",
    output:
        log="<results>/runs/{dataset}/depth{depth}/{strategy}/seeds{seeds}.csv",
        manifest="<results>/runs/{dataset}/depth{depth}/{strategy}/seeds{seeds}.json",
    log:
        "<logs>/train/{dataset}/depth{depth}/{strategy}/seeds{seeds}.log",
    benchmark:
        "<benchmarks>/train/{dataset}/depth{depth}/{strategy}/seeds{seeds}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=gpus,
    params:
        cell=cell_of,
        device=config["device"],
        code=fingerprint(*NUMERIC_MODULES),
    message:
        "Train {wildcards.strategy} on {wildcards.dataset}, depth {wildcards.depth}, seeds {wildcards.seeds}"
        " (GPUs: {resources.gpu})"
    shell:
        "python -m altfreeze train --data {input:q} --cell {params.cell:q} --seeds {wildcards.seeds} "
        "--device {params.device} --threads {threads} --output {output.log:q} --manifest {output.manifest:q} "
        "2> {log:q}"
