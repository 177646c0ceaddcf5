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
    forget_partial_report()
    print(ending(), end="", file=sys.stderr)


onerror:
    print(failed(log), file=sys.stderr)
    if workflow.execution_settings.keep_going:
        print(partial_report(), file=sys.stderr)
    print(ending(), end="", file=sys.stderr)
