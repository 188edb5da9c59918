"""What a shop window asks: lists, offers, and what just happened."""
