"""Tests mirror the package; servers.py starts the real servers that some of them need."""
