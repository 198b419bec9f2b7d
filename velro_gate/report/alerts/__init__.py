"""Alerts about main as texts: the issue on GitHub, and messages for webhooks."""
