"""What the pages show: the notebooks call these and compute nothing."""
