"""How far a run complies: score, classes, checklists, impact."""
