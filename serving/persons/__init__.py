"""The rights of a person: to know, and to be forgotten."""
