"""How decisions are made: money, offers, and whom to contact under a budget."""
