"""The machine that sends the load: what it can carry, what a plan will take, and how it fares meanwhile."""
