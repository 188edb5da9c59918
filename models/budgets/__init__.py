"""Whom to contact, with what and when, where not everything can be afforded."""
