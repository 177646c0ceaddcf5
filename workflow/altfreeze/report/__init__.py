"""What a person reads: the report, its pages and its figures."""
