"""Tests of the frozen values and their invariants."""
