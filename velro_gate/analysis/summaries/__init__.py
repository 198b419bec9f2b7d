"""From samples and readings to the figures of a phase, each with its interval."""
