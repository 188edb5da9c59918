"""What a contact changes: comparisons of contacted and held out, and the rankings chosen by them."""
