from snakemake.utils import min_version

min_version("9.27")


resource_scopes:
    gpu="local",


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"


pathvars:
    results=config["results"],
    logs=f"{config['results']}/logs",
    benchmarks=f"{config['results']}/benchmarks",


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/timing.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/crate.smk"


rule all:
    default_target: True
    input:
        "<results>/report.html",
        rules.timing.output,
        rules.collect.output,
        rules.compare.output,
    localrule: True


onstart:
    write_study()


onsuccess:
    print(progress.success(), file=sys.stderr)
    if Path(config["results"], "report.html").exists():
        forget_partial_report()
        print(Path(config["results"], "answer.txt").read_text(), file=sys.stderr)
        print(f"The report: {Path(config['results'], 'report.html').resolve()}", file=sys.stderr)


onerror:
    print(progress.failure(log, workflow.execution_settings.keep_going), file=sys.stderr)
    if workflow.execution_settings.keep_going:
        print(partial_report(), file=sys.stderr)
