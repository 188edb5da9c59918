"""Whom to contact, with what and when, under a budget and other limits."""
