"""Contacts and decisions of the past, as rows to measure on."""
