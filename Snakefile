include: "workflow/Snakefile"


# what an included file makes the default target is not the default here
rule study:
    default_target: True
    input:
        rules.all.input,
    localrule: True
