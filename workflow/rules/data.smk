rule data:
    message:
        "Store data set {wildcards.dataset}"
    input:
        source_file,
    output:
        data="<results>/data/{dataset}.npz",
        manifest="<results>/data/{dataset}.json",
    log:
        "<logs>/data/{dataset}.log",
    benchmark:
        "<benchmarks>/data/{dataset}.tsv"
    params:
        source=source_of,
        study_seed=config["seed"],
        code=fingerprint("datasets", "randomness"),
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=30,
    conda:
        "../../environment.yml"
    shell:
        "python -m altfreeze data --name {wildcards.dataset} --source {params.source:q} "
        "--study-seed {params.study_seed} --output {output.data:q} --manifest {output.manifest:q} 2> {log:q}"
