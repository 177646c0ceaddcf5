rule collect:
    input:
        data=expand("<results>/data/{dataset}.npz", dataset=config["datasets"]),
        logs=pack_files(".csv"),
        manifests=pack_files(".json"),
        flows=pack_files(".flow.csv") if GRADIENT_FLOW else [],
        tuning=tuning_files(),
        timing="<results>/tables/timing.csv",
        alone="<results>/tables/timing.json",
        schema=repository_file("workflow/schemas/tables.schema.yaml"),
    output:
        epochs="<results>/tables/epochs.parquet",
        runs=report(
            "<results>/tables/runs.csv",
            caption="../report/runs.rst",
            category="Tables",
            labels={"table": "runs"},
        ),
        targets=report(
            "<results>/tables/targets.csv",
            caption="../report/targets.rst",
            category="Tables",
            labels={"table": "targets"},
        ),
        packs=report(
            "<results>/tables/packs.csv",
            caption="../report/packs.rst",
            category="Tables",
            labels={"table": "training jobs"},
        ),
        calibration=report(
            "<results>/tables/calibration.csv",
            caption="../report/calibration.rst",
            category="Tables",
            labels={"table": "calibration"},
        ),
        times=report(
            "<results>/tables/times_to_target.csv",
            caption="../report/times_to_target.rst",
            category="Tables",
            labels={"table": "times to target"},
        ),
        reached=report(
            "<results>/tables/reached.csv",
            caption="../report/reached.rst",
            category="Tables",
            labels={"table": "reached targets"},
        ),
        speedups=report(
            "<results>/tables/speedups.csv",
            caption="../report/speedups.rst",
            category="Tables",
            labels={"table": "speed-ups"},
        ),
        tuning=report(
            "<results>/tables/tuning.csv",
            caption="../report/tuning.rst",
            category="Tables",
            labels={"table": "tuning"},
        ),
        gradient_flow="<results>/tables/gradient_flow.parquet",
        study="<results>/tables/study.json",
    log:
        "<logs>/collect.log",
    benchmark:
        "<benchmarks>/collect.tsv"
    conda:
        "../../environment.yml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        study=STUDY_FILE,
        configuration=lambda wildcards: STUDY,
        code=fingerprint("altfreeze.tables.collect"),
        tables=subpath(output.runs, parent=True),
        results=subpath(output.runs, ancestor=2),
    message:
        "Collect all logs and check that none is missing"
    shell:
        "python -m altfreeze collect --study {params.study:q} --results {params.results:q} "
        "--tables {params.tables:q} --threads {threads} 2> {log:q}"


rule compare:
    input:
        epochs="<results>/tables/epochs.parquet",
        runs="<results>/tables/runs.csv",
        calibration="<results>/tables/calibration.csv",
        targets="<results>/tables/targets.csv",
        times="<results>/tables/times_to_target.csv",
        reached="<results>/tables/reached.csv",
        speedups="<results>/tables/speedups.csv",
        study="<results>/tables/study.json",
        schema=repository_file("workflow/schemas/tables.schema.yaml"),
    output:
        comparisons=report(
            "<results>/tables/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Tables",
            labels={"table": "comparisons"},
        ),
        pairs="<results>/tables/pairs.csv",
        across=report(
            "<results>/tables/across_datasets.csv",
            caption="../report/across_datasets.rst",
            category="Tables",
            labels={"table": "across data sets"},
        ),
        others=[
            report(
                f"<results>/tables/{table}.csv",
                caption="../report/others.rst",
                category="Tables",
                labels={"table": table.replace("_", " ")},
            )
            for table in [
                *("endpoints", "sensitivity", "variations", "trends", "times", "profiles", "matrix"),
                *("self_comparison", "variance", "seeds_needed"),
            ]
        ],
        seals="<results>/tables/comparisons.json",
    log:
        "<logs>/compare.log",
    benchmark:
        "<benchmarks>/compare.tsv"
    conda:
        "../../environment.yml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        study=STUDY_FILE,
        configuration=lambda wildcards: STUDY,
        code=fingerprint("altfreeze.comparison.compare"),
        tables=subpath(input.runs, parent=True),
    message:
        "Compare every strategy with standard training and with its controls, seed by seed"
    shell:
        "python -m altfreeze compare --study {params.study:q} --tables {params.tables:q} --threads {threads} 2> {log:q}"
