"""The rights of persons: access to their data, and erasure."""
