"""A scenario's steps as the engine sends and checks them: bytes with gaps, checks, cookies, redirects."""
