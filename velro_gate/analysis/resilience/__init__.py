"""How a service held while something was broken on purpose."""
