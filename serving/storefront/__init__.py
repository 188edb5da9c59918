"""What a shop window asks for: lists and offers; and the events it posts."""
