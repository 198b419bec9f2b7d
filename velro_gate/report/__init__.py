"""From model values to text: pure functions, no I/O, nothing decided here that the verdict has not decided.

A view (strings, rounded once) is built from the record and the verdict; templates only arrange it.
"""
