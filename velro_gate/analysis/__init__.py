"""From samples to a verdict: summaries, requirements, comparison with baselines, trust. Pure; alone in using scipy."""
