"""Alerts about main: the issue of a plan, and the webhook."""
