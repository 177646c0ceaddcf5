"""Figures of a study's tables: `style` holds the look that they share, each other module one kind."""
