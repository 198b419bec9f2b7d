"""The decision on recorded measurements: kept runs, series of other projects, banks of blocks."""
