"""How customers buy until they leave: counts and amounts in a few parameters (BG/NBD and related models)."""
