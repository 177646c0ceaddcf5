"""What is asked: the configuration, checked, and the grid that it expands into."""
