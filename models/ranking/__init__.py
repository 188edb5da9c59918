"""How likely each candidate is bought, and why: the ranker, what it learns from, and its answers."""
