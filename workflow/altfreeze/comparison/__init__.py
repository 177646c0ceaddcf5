"""Strategies compared in pairs: tables of the tables."""
