"""What is broken on purpose, and what is expected of the service meanwhile and afterwards."""
