"""Effects of contacts: comparisons of the contacted with the control group, and rankings based on them."""
