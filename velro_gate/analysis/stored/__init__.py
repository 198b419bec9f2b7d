"""One run against stored baselines: the screen, its confirmation by further runs, and drift of main."""
