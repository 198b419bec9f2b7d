"""The decision on simulated jobs, whose truth is known."""
