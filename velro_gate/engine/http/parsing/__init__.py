"""A response from its bytes: heads, bodies and their codings, and what its headers say of caches."""
