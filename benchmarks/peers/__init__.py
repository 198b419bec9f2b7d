"""The same load by other generators and by ours, in turn, against the same server. ``python -m benchmarks.peers``."""
