"""What a list may contain and in which order, what a request asks, and the fallbacks without history."""
