"""The chance that a customer buys again within each horizon, at the shop's level and season."""
