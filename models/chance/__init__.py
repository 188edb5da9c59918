"""The chance that a customer buys again, over every horizon, at the level and season of the shop."""
