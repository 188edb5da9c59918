"""Which products go together and who buys alike: the evidence that candidates and the ranker use."""
