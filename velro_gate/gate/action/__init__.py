"""One job on GitHub, from its event to what is published."""
