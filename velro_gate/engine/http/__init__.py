"""One HTTP/1.1 connection and what all connections share: sockets, TLS, routes, parsing."""
