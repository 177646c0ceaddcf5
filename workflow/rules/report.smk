PAGE_TEMPLATES = [
    "workflow/altfreeze/templates/page/conf.json",
    "workflow/altfreeze/templates/page/index.html.j2",
    "workflow/altfreeze/templates/style.css",
]


rule dynamics:
    input:
        epochs="<results>/tables/epochs.parquet",
        notebook="workflow/notebooks/dynamics.ipynb",
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/dynamics-{dataset}.ipynb",
        page=report(
            "<results>/notebooks/dynamics-{dataset}.html",
            caption="../report/dynamics.rst",
            category="Notebooks",
            labels={"notebook": "training dynamics", "data set": "{dataset}"},
        ),
    log:
        "<logs>/notebooks/dynamics-{dataset}.log",
    benchmark:
        "<benchmarks>/notebooks/dynamics-{dataset}.tsv"
    retries: 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=60,
        notebook=1,
    params:
        code=fingerprint("plots", "report"),
    message:
        "Show the training dynamics on {wildcards.dataset}"
    shell:
        "export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} OPENBLAS_NUM_THREADS={threads} && "
        "papermill -k python3 --log-output --no-progress-bar -r epochs_table {input.epochs:q} "
        "-r dataset {wildcards.dataset:q} {input.notebook:q} {log:q}.ipynb > {log:q} 2>&1 && "
        "cp {log:q}.ipynb {output.notebook:q} && "
        "python -m altfreeze page --notebook {output.notebook:q} --output {output.page:q} 2>> {log:q}"


rule comparison:
    input:
        runs="<results>/tables/runs.csv",
        comparisons="<results>/tables/comparisons.csv",
        study="<results>/tables/study.json",
        notebook="workflow/notebooks/comparison.ipynb",
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/comparison.ipynb",
        page=report(
            "<results>/notebooks/comparison.html",
            caption="../report/comparison.rst",
            category="Notebooks",
            labels={"notebook": "comparison", "data set": "all"},
        ),
    log:
        "<logs>/notebooks/comparison.log",
    benchmark:
        "<benchmarks>/notebooks/comparison.tsv"
    retries: 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=60,
        notebook=1,
    params:
        tables=subpath(input.runs, parent=True),
        code=fingerprint("plots", "report", "schedules", "tables"),
    message:
        "Show all comparisons"
    shell:
        "export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} OPENBLAS_NUM_THREADS={threads} && "
        "papermill -k python3 --log-output --no-progress-bar -r tables {params.tables:q} "
        "{input.notebook:q} {log:q}.ipynb > {log:q} 2>&1 && "
        "cp {log:q}.ipynb {output.notebook:q} && "
        "python -m altfreeze page --notebook {output.notebook:q} --output {output.page:q} 2>> {log:q}"


rule walkthrough:
    input:
        notebook="workflow/notebooks/walkthrough.ipynb",
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/walkthrough.ipynb",
        page=report(
            "<results>/notebooks/walkthrough.html",
            caption="../report/walkthrough.rst",
            category="Notebooks",
            labels={"notebook": "walkthrough", "data set": "one"},
        ),
    log:
        "<logs>/notebooks/walkthrough.log",
    benchmark:
        "<benchmarks>/notebooks/walkthrough.tsv"
    retries: 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=60,
        notebook=1,
    params:
        depth=config["primary_depth"],
        width=config["width"],
        freeze_ratio=config["primary_freeze_ratio"],
        epochs=config["epochs_standard"],
        batch_size=config["batch_size"],
        learning_rate=config["learning_rate"],
        optimizer=config["optimizer"],
        seed=config["seed"],
        code=fingerprint("cost", "data", "datasets", "models", "plots", "randomness", "report", "schedules", "training"),
    message:
        "Walk through one alternating run, step by step"
    shell:
        "export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} OPENBLAS_NUM_THREADS={threads} && "
        "papermill -k python3 --log-output --no-progress-bar -p depth {params.depth:q} -p width {params.width:q} "
        "-p freeze_ratio {params.freeze_ratio:q} -p epochs {params.epochs:q} -p batch_size {params.batch_size:q} "
        "-p learning_rate {params.learning_rate:q} -r optimizer {params.optimizer:q} -p seed {params.seed:q} "
        "{input.notebook:q} {log:q}.ipynb > {log:q} 2>&1 && "
        "cp {log:q}.ipynb {output.notebook:q} && "
        "python -m altfreeze page --notebook {output.notebook:q} --output {output.page:q} 2>> {log:q}"


rule report:
    input:
        runs="<results>/tables/runs.csv",
        comparisons="<results>/tables/comparisons.csv",
        study="<results>/tables/study.json",
        pages=[
            "<results>/notebooks/comparison.html",
            *expand("<results>/notebooks/dynamics-{dataset}.html", dataset=config["datasets"]),
            "<results>/notebooks/walkthrough.html",
        ],
        templates=["workflow/altfreeze/templates/report.html.j2", "workflow/altfreeze/templates/style.css"],
    output:
        report=report(
            "<results>/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"item": "report"},
        ),
        figure=report(
            "<results>/figures/main.svg",
            caption="../report/main.rst",
            category="Report",
            labels={"item": "primary comparison"},
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    retries: 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=30,
    params:
        study=STUDY,
        tables=subpath(input.runs, parent=True),
        code=fingerprint("plots", "report", "schedules", "tables"),
    message:
        "Write the report"
    shell:
        "python -m altfreeze report --study {params.study:q} --tables {params.tables:q} --pages {input.pages:q} "
        "--output {output.report:q} 2> {log:q}"
