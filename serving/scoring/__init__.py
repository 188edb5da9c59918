"""One scoring: built, mapped, retained, and verified against its sources."""
