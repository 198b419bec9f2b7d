"""A run over time: the series and distributions that charts show, from samples and readings."""
