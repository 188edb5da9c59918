"""What the service says of itself: logs, traces, metrics, drift."""
