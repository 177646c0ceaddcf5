PAGE_TEMPLATES = [
    "workflow/altfreeze/report/templates/page/conf.json",
    "workflow/altfreeze/report/templates/page/index.html.j2",
    "workflow/altfreeze/report/templates/style.css",
]
# the executed copy is the log's until it succeeded
EXECUTE = (
    "python -m altfreeze notebook --notebook {input.notebook:q} --parameters {params.parameters:q} "
    "--threads {threads} --executed {log:q}.ipynb 2> {log:q} && "
    "cp {log:q}.ipynb {output.notebook:q} && "
    "python -m altfreeze page --notebook {output.notebook:q} --output {output.page:q} 2>> {log:q}"
)


rule dynamics:
    input:
        epochs="<results>/tables/epochs.parquet",
        flow="<results>/tables/gradient_flow.parquet",
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
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        notebook=1,
    params:
        parameters=lambda wildcards, input: notebook_parameters(
            epochs_table=input.epochs,
            flow_table=input.flow,
            dataset=wildcards.dataset,
            primary_depth=config["primary_depth"],
            primary_strategy=study.primary_strategy,
        ),
        code=lambda wildcards, input: fingerprint(
            str(input.notebook), "altfreeze.report.notebook_pages", "altfreeze.report.page"
        ),
    message:
        "Show the training dynamics on {wildcards.dataset}"
    shell:
        EXECUTE


use rule dynamics as budgets with:
    input:
        runs="<results>/tables/runs.csv",
        comparisons="<results>/tables/comparisons.csv",
        study="<results>/tables/study.json",
        targets="<results>/tables/targets.csv",
        times="<results>/tables/times_to_target.csv",
        reached="<results>/tables/reached.csv",
        speedups="<results>/tables/speedups.csv",
        tuning="<results>/tables/tuning.csv",
        notebook="workflow/notebooks/budgets.ipynb",
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/budgets.ipynb",
        page=report(
            "<results>/notebooks/budgets.html",
            caption="../report/budgets.rst",
            category="Notebooks",
            labels={"notebook": "budgets", "data set": "all"},
        ),
    log:
        "<logs>/notebooks/budgets.log",
    benchmark:
        "<benchmarks>/notebooks/budgets.tsv"
    params:
        parameters=lambda wildcards, input: notebook_parameters(tables=str(Path(input.study).parent)),
    message:
        "Compare at equal epochs, updates, operations and seconds"


use rule dynamics as statistics with:
    input:
        runs="<results>/tables/runs.csv",
        comparisons="<results>/tables/comparisons.csv",
        study="<results>/tables/study.json",
        across="<results>/tables/across_datasets.csv",
        others=rules.compare.output.others,
        notebook="workflow/notebooks/statistics.ipynb",
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/statistics.ipynb",
        page=report(
            "<results>/notebooks/statistics.html",
            caption="../report/statistics.rst",
            category="Notebooks",
            labels={"notebook": "statistics", "data set": "all"},
        ),
    log:
        "<logs>/notebooks/statistics.log",
    benchmark:
        "<benchmarks>/notebooks/statistics.tsv"
    params:
        parameters=lambda wildcards, input: notebook_parameters(tables=str(Path(input.study).parent)),
    message:
        "Say what the numbers can and cannot show"


use rule dynamics as walkthrough with:
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
    params:
        parameters=notebook_parameters(
            depth=config["primary_depth"],
            width=config["width"],
            freeze_ratio=config["primary_freeze_ratio"],
            epochs=config["epochs_standard"],
            batch_size=config["batch_size"],
            learning_rate=config["learning_rate"],
            optimizer=config["optimizer"],
            seed=config["seed"],
        ),
    message:
        "Walk through one alternating run, step by step"


use rule dynamics as schedules with:
    input:
        data=expand("<results>/data/{dataset}.npz", dataset=config["datasets"]),
        notebook="workflow/notebooks/schedules.ipynb",
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/schedules.ipynb",
        page=report(
            "<results>/notebooks/schedules.html",
            caption="../report/schedules.rst",
            category="Notebooks",
            labels={"notebook": "schedules", "data set": "all"},
        ),
    log:
        "<logs>/notebooks/schedules.log",
    benchmark:
        "<benchmarks>/notebooks/schedules.tsv"
    params:
        # a function, as it holds braces, but not of the input, so that a change of the study is seen
        parameters=lambda wildcards: notebook_parameters(study=STUDY, data=f"{config['results']}/data"),
    message:
        "Draw which layers learn when"


rule report:
    input:
        runs="<results>/tables/runs.csv",
        comparisons="<results>/tables/comparisons.csv",
        across="<results>/tables/across_datasets.csv",
        pairs="<results>/tables/pairs.csv",
        epochs="<results>/tables/epochs.parquet",
        times="<results>/tables/times_to_target.csv",
        packs="<results>/tables/packs.csv",
        calibration="<results>/tables/calibration.csv",
        trends="<results>/tables/trends.csv",
        speedups="<results>/tables/speedups.csv",
        study="<results>/tables/study.json",
        pages=[
            "<results>/notebooks/budgets.html",
            "<results>/notebooks/statistics.html",
            *expand("<results>/notebooks/dynamics-{dataset}.html", dataset=config["datasets"]),
            "<results>/notebooks/schedules.html",
            "<results>/notebooks/walkthrough.html",
        ],
        templates=[
            "workflow/altfreeze/report/templates/report.html.j2",
            "workflow/altfreeze/report/templates/report.js",
            "workflow/altfreeze/report/templates/style.css",
        ],
    output:
        report=report(
            "<results>/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"item": "report"},
        ),
        answer="<results>/answer.txt",
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
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        study=STUDY_FILE,
        configuration=lambda wildcards: STUDY,
        tables=subpath(input.runs, parent=True),
        code=fingerprint("altfreeze.report.page"),
    message:
        "Write the report"
    shell:
        "python -m altfreeze report --study {params.study:q} --tables {params.tables:q} --pages {input.pages:q} "
        "--output {output.report:q} 2> {log:q}"
