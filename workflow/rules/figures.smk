rule figures:
    input:
        runs="<results>/tables/runs.csv",
        comparisons="<results>/tables/comparisons.csv",
    output:
        [
            report(
                f"<results>/figures/depth{depth}-{strategy}.svg",
                caption="../report/differences.rst",
                category="Figures",
                subcategory=f"Depth {depth}",
                labels={"data set": "all", "depth": str(depth), "freeze ratio": f"{ratio:g}", "strategy": strategy},
            )
            for depth in config["depths"]
            for strategy, ratio in study.alternating_strategies(config).items()
        ],
    log:
        "<logs>/figures.log",
    benchmark:
        "<benchmarks>/figures.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        study=lambda wildcards: STUDY,
        tables=subpath(input.runs, parent=True),
        folder=subpath(output[0], parent=True),
        code=fingerprint(*COMPARISON_MODULES, "figures", "plots"),
    message:
        "Draw alternating against standard training at each depth and freeze ratio"
    shell:
        "python -m altfreeze figures --study {params.study:q} --tables {params.tables:q} "
        "--output {params.folder:q} 2> {log:q}"
