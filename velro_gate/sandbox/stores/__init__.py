"""Where the sandbox reads its responses from: memory, Redis, a database, each behind its breaker."""
