"""What was broken on purpose: the figures of experiments from samples, readings and probes."""
