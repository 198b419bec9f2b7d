"""The sources of readings: one module for each, and what they share."""
