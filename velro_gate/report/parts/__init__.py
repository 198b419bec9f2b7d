"""The parts of a report as strings, the same for every format."""
