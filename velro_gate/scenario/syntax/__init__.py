"""A scenario file as text: lines, shape, quantities, placeholders, and its faults."""
