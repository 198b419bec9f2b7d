"""From rows, requirements and doubts to one verdict and its findings."""
