"""Figures, not tests: each module prints what it measured, with the machine and the spread."""
