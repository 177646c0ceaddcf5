"""What the pages say and show: pure functions of the study and its tables, from which notebooks are put together.

A function that is named after nothing else takes the study and tables of the names of its
parameters (see ``workflow/schemas/tables.schema.yaml``), and returns sentences in Markdown, empty
where there is nothing to say, or a table of text whose first column names the rows, without rows
where there is nothing to show. Only `display` shows anything.
"""
