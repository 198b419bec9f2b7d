"""The scenario's own metrics: their figures, in a phase and window by window."""
