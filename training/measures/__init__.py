"""Definitions of figures and their uncertainty: holdouts, metrics, intervals."""
