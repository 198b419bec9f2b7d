"""Two builds measured side by side, block by block."""
