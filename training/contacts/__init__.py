"""Past contacts and decisions: as rows for measurements, and what they earned."""
