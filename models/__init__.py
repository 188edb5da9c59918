"""What we know -> what we predict: one file per model; code, never trained artefacts."""
