from altfreeze.report.templates import EXPLORER, NOTEBOOK, PAGE

PAGE_TEMPLATES = [
    repository_file("workflow/altfreeze/report/templates/page/conf.json"),
    repository_file("workflow/altfreeze/report/templates/page/index.html.j2"),
    *(repository_file(f"workflow/altfreeze/report/templates/script/{part}.js") for part in NOTEBOOK),
    repository_file("workflow/altfreeze/report/templates/style.css"),
]
# each page: its notebook, and what it reads: the study, tables with their seals, data sets, files of the workflow, and values of the
# configuration, each of which makes the page anew when it changes
PAGES = {
    "budgets": {
        "notebook": "budgets",
        "study": STUDY,
        "tables": [
            *("comparisons.csv", "reached.csv", "runs.csv", "speedups.csv", "targets.csv", "times_to_target.csv"),
            *("tuning.csv", "variations.csv", "study.json", "comparisons.json"),
        ],
    },
    "statistics": {
        "notebook": "statistics",
        "study": STUDY,
        "tables": [
            *("across_datasets.csv", "comparisons.csv", "matrix.csv", "profiles.csv", "seeds_needed.csv"),
            *("self_comparison.csv", "times.csv", "trends.csv", "variance.csv", "study.json", "comparisons.json"),
            *("endpoints.csv", "sensitivity.csv", "targets.csv"),
        ],
    },
    "dynamics": {
        "notebook": "dynamics",
        "study": STUDY,
        "tables": ["epochs.parquet", "gradient_flow.parquet", "study.json"],
    },
    "claims": {
        "notebook": "claims",
        "study": STUDY,
        "tables": ["comparisons.csv", "runs.csv", "sensitivity.csv", "times.csv", "study.json", "comparisons.json"],
        "files": {"claims_file": "workflow/claims.yaml"},
    },
    "schedules": {
        "notebook": "schedules",
        "study": STUDY,
        "data": config["datasets"],
    },
    "walkthrough": {
        "notebook": "walkthrough",
        "values": study.walkthrough,
    },
}


rule page:
    input:
        tables=lambda wildcards: [f"<results>/tables/{table}" for table in PAGES[wildcards.page].get("tables", [])],
        data=lambda wildcards: [f"<results>/data/{dataset}.npz" for dataset in PAGES[wildcards.page].get("data", [])],
        files=lambda wildcards: [repository_file(path) for path in PAGES[wildcards.page].get("files", {}).values()],
        notebook=page_notebook,
        templates=PAGE_TEMPLATES,
    output:
        notebook="<results>/notebooks/{page}.ipynb",
        page="<results>/notebooks/{page}.html",
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
        endpoints="<results>/tables/endpoints.csv",
        sensitivity="<results>/tables/sensitivity.csv",
        targets="<results>/tables/targets.csv",
        variations="<results>/tables/variations.csv",
        study="<results>/tables/study.json",
        seals="<results>/tables/comparisons.json",
        pages=expand("<results>/notebooks/{page}.html", page=PAGES),
        templates=[
            repository_file("workflow/altfreeze/report/templates/methods.html.j2"),
            repository_file("workflow/altfreeze/report/templates/methods_short.html.j2"),
            repository_file("workflow/altfreeze/report/templates/report.html.j2"),
            repository_file("workflow/altfreeze/report/templates/references.bib"),
            *(
                repository_file(f"workflow/altfreeze/report/templates/script/{part}.js")
                for part in sorted({*PAGE, *EXPLORER})
            ),
            repository_file("workflow/altfreeze/report/templates/style.css"),
        ],
        citation=repository_file("CITATION.cff"),
    output:
        report="<results>/report.html",
        answer="<results>/answer.txt",
        paper=["<results>/paper/main.tex", "<results>/paper/references.bib"],
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


# Snakemake's own report keeps links only between files of one folder
rule linked:
    input:
        report="<results>/report.html",
        pages=expand("<results>/notebooks/{page}.html", page=PAGES),
    output:
        report(
            directory("<results>/linked"),
            htmlindex="report.html",
            caption="../report/linked.rst",
            category="Report",
            labels={"item": "report and pages"},
        ),
    log:
        "<logs>/linked.log",
    benchmark:
        "<benchmarks>/linked.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=100,
        runtime=10,
    message:
        "Put the report and its pages into one folder"
    shell:
        "(mkdir -p {output:q}/notebooks && cp {input.report:q} {output:q} && cp {input.pages:q} {output:q}/notebooks) 2> {log:q}"
