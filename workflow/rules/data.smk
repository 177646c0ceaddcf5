rule data:
    input:
        source_files,
    output:
        data="<results>/data/{dataset}.npz",
        manifest="<results>/data/{dataset}.json",
    log:
        "<logs>/data/{dataset}.log",
    benchmark:
        "<benchmarks>/data/{dataset}.tsv"
    # seconds of work that may need the network, which a cluster's nodes often lack
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        study=STUDY_FILE,
        source=lambda wildcards: as_json(config["sources"][wildcards.dataset]),
        study_seed=config["seed"],
        code=fingerprint("altfreeze.data.sources"),
    message:
        "Store data set {wildcards.dataset}"
    shell:
        "python -m altfreeze data --study {params.study:q} --name {wildcards.dataset} "
        "--output {output.data:q} --manifest {output.manifest:q} 2> {log:q}"
