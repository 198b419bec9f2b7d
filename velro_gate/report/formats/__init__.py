"""One module a format: comment, terminal, HTML, JSON, CSV."""
