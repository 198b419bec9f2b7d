"""The embedded stand-in for the Velro backend, so that everything runs without the real backend.

Importing this package, its settings or its process module costs nothing and needs no extra; serving needs the extra
``velro-gate[sandbox]`` and says so when it is absent.
"""
