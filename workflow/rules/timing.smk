rule timing:
    input:
        expand("<results>/data/{dataset}.npz", dataset=config["datasets"]),
    output:
        timing=report(
            "<results>/tables/timing.csv",
            caption="../report/timing.rst",
            category="Tables",
            labels={"table": "timing"},
        ),
        # whether it was alone
        alone="<results>/tables/timing.json",
    log:
        "<logs>/timing.log",
    benchmark:
        "<benchmarks>/timing.tsv"
    conda:
        "../../environment.yml"
    # all cores are reserved, so that nothing runs beside it; it computes with one
    threads: all_cores
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=gpus,
        slurm_extra="--exclusive",
    params:
        study=STUDY_FILE,
        timed=lambda wildcards: as_json(study.timed()),
        factory=code_of_factory(study.network),
        data=subpath(input[0], parent=True),
        device=config["device"],
        code=fingerprint("altfreeze.training.timing"),
    message:
        "Time the steps of every strategy, alone on this machine (GPUs: {resources.gpu})"
    shell:
        "python -m altfreeze timing --study {params.study:q} --data {params.data:q} --device {params.device} "
        "--threads 1 --output {output.timing:q} 2> {log:q}"
