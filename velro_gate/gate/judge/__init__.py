"""Judging what was measured, confirming it, and keeping baselines."""
