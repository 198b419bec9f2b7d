"""Frozen values, invariants checked at birth. Base units inside: seconds, requests per second, bytes, shares in [0, 1]."""
