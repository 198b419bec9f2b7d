"""Measuring one build: what is asked for, the generator alone, the load, the kept results."""
