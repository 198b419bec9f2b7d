"""Pieces of text: escaped for where they are shown, figures rounded once, templates."""
