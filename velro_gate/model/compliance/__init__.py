"""How far a run complies with its requirements: the rules, and what an assessment by them holds."""
