"""Where the sandbox reads its answers from: memory, Redis, a database, each behind its breaker."""
