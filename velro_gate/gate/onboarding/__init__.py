"""Bringing velro-gate into a repository, and examining how it is used there."""
