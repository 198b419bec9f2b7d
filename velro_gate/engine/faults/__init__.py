"""Faults on purpose: a process that carries them out, and undoes them when the run ends, however it ends."""
