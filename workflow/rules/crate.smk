rule crate:
    input:
        report="<results>/report.html",
        study="<results>/tables/study.json",
    output:
        "<results>/ro-crate-metadata.json",
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
        study=lambda wildcards: STUDY,
        results=subpath(input.report, parent=True),
        code=fingerprint("altfreeze.report.crate"),
    message:
        "Describe the study, its code and its files as an RO-Crate"
    shell:
        "python -m altfreeze crate --study {params.study:q} --results {params.results:q} --checkout . 2> {log:q}"
