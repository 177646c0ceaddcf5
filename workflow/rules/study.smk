# what every job that needs the study reads; as it is ancient to them, a new one alone makes nothing stale:
# what a rule depends on stands in its params
rule study:
    output:
        # kept until the new one is whole: where it is gone, all that read it would be made anew
        update("<results>/study.json"),
    log:
        "<logs>/study.log",
    localrule: True
    params:
        config=lambda wildcards: json.dumps(config, indent=2, sort_keys=True),
    message:
        "Write the study down"
    script:
        "../scripts/study.py"
