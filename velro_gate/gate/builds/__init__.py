"""Builds of the service: fetched, built, started and stopped by their own commands."""
