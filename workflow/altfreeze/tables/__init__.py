"""From the logs of all jobs to checked tables."""
