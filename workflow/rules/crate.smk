rule crate:
    input:
        files=[
            *(rules.report.output, rules.timing.output, rules.collect.output, rules.compare.output),
            *expand("<results>/notebooks/{page}.{suffix}", page=PAGES, suffix=["html", "ipynb"]),
        ],
        data=expand("<results>/data/{dataset}.{suffix}", dataset=config["datasets"], suffix=["npz", "json"]),
        packs=pack_files(".csv") + pack_files(".json") + (pack_files(".flow.csv") if GRADIENT_FLOW else []),
        tuning=tuning_files(),
        sources=[local(path) for name in config["datasets"] for path in paths_of(config["sources"][name])],
        code=code_of_the_workflow,
    output:
        metadata="<results>/ro-crate-metadata.json",
        code=directory("<results>/code"),
    log:
        "<logs>/crate.log",
    benchmark:
        "<benchmarks>/crate.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        study=STUDY_FILE,
        configuration=lambda wildcards: STUDY,
        results=subpath(output.metadata, parent=True),
        checkout=repository_path("."),
        code=fingerprint("altfreeze.report.crate"),
    message:
        "Describe the study, its code and its files as an RO-Crate"
    shell:
        "python -m altfreeze crate --study {params.study:q} --results {params.results:q} --files {input.files:q} "
        "--checkout {params.checkout:q} 2> {log:q}"
