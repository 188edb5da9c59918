"""What happened -> what we know: orders become features, labels and histories as of a cutoff."""
