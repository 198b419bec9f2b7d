"""Whether a measurement can be trusted: every doubt about it, and the limits by which it is one."""
