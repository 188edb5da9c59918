"""What happened since the scoring: followed by workers, worked into scores by the watcher."""
