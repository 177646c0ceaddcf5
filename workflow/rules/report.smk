PAGE_TEMPLATES = [
    "workflow/altfreeze/report/templates/page/conf.json",
    "workflow/altfreeze/report/templates/page/index.html.j2",
    "workflow/altfreeze/report/templates/style.css",
]
# each page: its notebook, how Snakemake's report lists it, and what it reads: the study, tables, data sets, and
# values of the configuration, each of which makes the page anew when it changes
PAGES = {
    "budgets": {
        "notebook": "budgets",
        "labels": {"notebook": "budgets", "data set": "all"},
        "study": STUDY,
        "tables": [
            *("comparisons.csv", "reached.csv", "runs.csv", "speedups.csv", "targets.csv", "times_to_target.csv"),
            "tuning.csv",
        ],
    },
    "statistics": {
        "notebook": "statistics",
        "labels": {"notebook": "statistics", "data set": "all"},
        "study": STUDY,
        "tables": [
            *("across_datasets.csv", "comparisons.csv", "matrix.csv", "profiles.csv", "seeds_needed.csv"),
            *("self_comparison.csv", "times.csv", "trends.csv", "variance.csv"),
        ],
    },
    **{
        f"dynamics-{dataset}": {
            "notebook": "dynamics",
            "labels": {"notebook": "training dynamics", "data set": dataset},
            "study": STUDY,
            "tables": ["epochs.parquet", "gradient_flow.parquet"],
            "values": {"dataset": dataset},
        }
        for dataset in config["datasets"]
    },
    "schedules": {
        "notebook": "schedules",
        "labels": {"notebook": "schedules", "data set": "all"},
        "study": STUDY,
        "data": config["datasets"],
    },
    "walkthrough": {
        "notebook": "walkthrough",
        "labels": {"notebook": "walkthrough", "data set": "one"},
        "values": {
            "depth": config["primary_depth"],
            "width": config["width"],
            "freeze_ratio": config["primary_freeze_ratio"],
            "epochs": config["epochs_standard"],
            "batch_size": config["batch_size"],
            "learning_rate": config["learning_rate"],
            "optimizer": config["optimizer"],
            "seed": config["seed"],
        },
    },
}


rule page:
    input:
        tables=lambda wildcards: [f"<results>/tables/{table}" for table in PAGES[wildcards.page].get("tables", [])],
        data=lambda wildcards: [f"<results>/data/{dataset}.npz" for dataset in PAGES[wildcards.page].get("data", [])],
        notebook=page_notebook,
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/{page}.ipynb",
        page=report(
            "<results>/notebooks/{page}.html",
            caption="../report/page.rst",
            category="Notebooks",
            labels=lambda wildcards: PAGES[wildcards.page]["labels"],
        ),
    log:
        "<logs>/notebooks/{page}.log",
    benchmark:
        "<benchmarks>/notebooks/{page}.tsv"
    wildcard_constraints:
        page="|".join(map(re.escape, PAGES)),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        notebook=1,
    params:
        # a param that is a function of the input hides a changed value, so what decides stands in params of its own
        configuration=lambda wildcards: PAGES[wildcards.page].get("study", ""),
        values=lambda wildcards: as_json(PAGES[wildcards.page].get("values", {})),
        code=lambda wildcards: fingerprint(page_notebook(wildcards), "altfreeze.report.notebook_pages"),
        parameters=page_parameters,
    message:
        "Write the page {wildcards.page}"
    shell:
        "python -m altfreeze notebook --notebook {input.notebook:q} --parameters {params.parameters:q} "
        "--threads {threads} --executed {log:q}.ipynb 2> {log:q} && "
        # the executed copy is the log's until it succeeded
        "cp {log:q}.ipynb {output.notebook:q} && "
        "python -m altfreeze page --notebook {output.notebook:q} --output {output.page:q} 2>> {log:q}"


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
        seals="<results>/tables/comparisons.json",
        pages=expand("<results>/notebooks/{page}.html", page=PAGES),
        templates=[
            "workflow/altfreeze/report/templates/methods.html.j2",
            "workflow/altfreeze/report/templates/report.html.j2",
            "workflow/altfreeze/report/templates/copy.js",
            "workflow/altfreeze/report/templates/report.js",
            "workflow/altfreeze/report/templates/style.css",
        ],
        citation="CITATION.cff",
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
