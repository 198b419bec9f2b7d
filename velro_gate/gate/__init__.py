"""The use cases: check, run, judge, gate, calibrate, demo. Every effect they may have arrives as an argument."""
