"""Samples reduced to counts: what the workers of a cluster hand on where the samples themselves would be too many."""
