"""Answer a request, score a base: the only reader of the model registry."""
