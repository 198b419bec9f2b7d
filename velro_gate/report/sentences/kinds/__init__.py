"""One module for each kind of finding: what is said of it, and what to do."""
