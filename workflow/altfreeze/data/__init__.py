"""Data sets: from their sources to the splits of a seed."""
