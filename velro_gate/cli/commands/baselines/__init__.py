"""The ``baseline`` commands, and how stored runs are printed."""
