"""How likely each candidate is bought, and why: the ranker, its training rows, and its answers."""
