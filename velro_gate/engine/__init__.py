"""The load engine: carries out phases of load and measures its own error while it does."""
