"""What a list may hold and in which order, what a request asks, and what may stand in for history."""
