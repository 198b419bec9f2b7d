"""One module for each command or group of commands: what is printed, and the use case it calls."""
