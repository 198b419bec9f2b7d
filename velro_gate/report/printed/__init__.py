"""What commands print or publish that is no report of a run: the running load, a search, a selftest, the trend of main."""
