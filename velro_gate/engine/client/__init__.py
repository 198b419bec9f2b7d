"""The engine's connections as transports of httpx: for journeys, and for single requests before a load."""
