"""What a dry run says: the plan, its experiments, and what will be compared."""
