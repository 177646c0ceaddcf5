"""Alternating layer freezing, compared with standard training."""
