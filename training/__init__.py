"""Fit, evaluate, track, promote: the only writer of the model registry."""
