"""Users whose journeys are Python functions."""
