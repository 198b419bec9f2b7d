"""The sandbox's HTTP application and its endpoints."""
