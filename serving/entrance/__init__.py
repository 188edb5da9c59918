"""Authentication, rate limits, request bodies, and refusals."""
