"""Contacts and decisions of the past: as rows to measure on, and what they earned."""
