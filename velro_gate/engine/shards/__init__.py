"""One load sent by several processes."""
