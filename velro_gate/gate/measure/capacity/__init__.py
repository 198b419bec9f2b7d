"""The search for the capacity, and its record."""
