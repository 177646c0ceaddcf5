"""Strategies compared in pairs: what is read of two cells at a budget, and the tables that compare."""
