"""Flat arrays in time order: histories, the catalogue, and what is known of pairs and products."""
