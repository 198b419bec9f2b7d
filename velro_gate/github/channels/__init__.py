"""Where a verdict is published on GitHub: comment, status, workflow commands, the issue about main."""
