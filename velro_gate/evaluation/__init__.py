"""How often the decision itself is wrong, and how often right: everything behind ``velro-gate evaluate``."""
