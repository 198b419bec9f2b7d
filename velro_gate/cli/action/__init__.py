"""``velro-gate action``: the process that has the token, and the one that measures."""
