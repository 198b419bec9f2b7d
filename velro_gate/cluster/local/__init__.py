"""``local:N``: a scheduler and workers on this machine, for the length of a command."""
