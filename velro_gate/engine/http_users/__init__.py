"""Users that send a scenario's steps over HTTP/1.1: the fastest population, and the usual one."""
