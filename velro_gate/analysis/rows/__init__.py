"""One row of a comparison: which figures are compared, their noise, how far they moved, how they are worded."""
