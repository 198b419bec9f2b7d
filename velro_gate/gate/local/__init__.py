"""The use cases of the commands at a terminal: run, gate, confirm, duet, judge, report, calibrate, plan."""
