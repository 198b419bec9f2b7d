"""The decision on whole duets and whole jobs of the embedded sandbox."""
