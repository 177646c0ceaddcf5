rule collect:
    input:
        data=expand("<results>/data/{dataset}.npz", dataset=config["datasets"]),
        logs=pack_files(".csv"),
        manifests=pack_files(".json"),
    output:
        epochs="<results>/tables/epochs.parquet",
        epochs_csv="<results>/tables/epochs.csv",
        runs=report(
            "<results>/tables/runs.csv",
            caption="../report/runs.rst",
            category="Tables",
            labels={"table": "runs"},
        ),
        study="<results>/tables/study.json",
    log:
        "<logs>/collect.log",
    benchmark:
        "<benchmarks>/collect.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=60,
    params:
        study=STUDY,
        code=fingerprint("tables", "config"),
        tables=subpath(output.runs, parent=True),
        results=subpath(output.runs, ancestor=2),
    message:
        "Collect all logs and check that none is missing"
    shell:
        "python -m altfreeze collect --study {params.study:q} --results {params.results:q} "
        "--tables {params.tables:q} 2> {log:q}"


rule compare:
    input:
        "<results>/tables/runs.csv",
    output:
        report(
            "<results>/tables/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Tables",
            labels={"table": "comparisons"},
        ),
    log:
        "<logs>/compare.log",
    benchmark:
        "<benchmarks>/compare.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=60,
    params:
        study=STUDY,
        code=fingerprint("tables", "statistics", "config", "randomness"),
    message:
        "Compare alternating with standard training, seed by seed"
    shell:
        "python -m altfreeze compare --study {params.study:q} --runs {input:q} --output {output:q} 2> {log:q}"
