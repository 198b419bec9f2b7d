"""Journeys in Python: found by their names, and their modules imported to see that it can be done."""
