"""Records, facts, samples and baselines as files: a pure codec, and the only modules that touch those files."""
