"""What we know -> what we predict: one file a model; code, never trained artefacts."""
