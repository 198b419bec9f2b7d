"""What a metric is, and the metrics that a scenario defines itself."""
