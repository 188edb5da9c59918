"""Candidates to rank for each customer: the state that lists are built from, and the sources that propose."""
