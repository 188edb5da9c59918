"""Events since the scoring: followed by the workers, and worked into scores by the watcher."""
