"""Training of stacked networks: what decides numbers, and the jobs around it."""
