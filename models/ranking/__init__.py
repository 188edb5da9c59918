"""How product lists are made: candidates, the ranker over them, and the lists cut from its order."""
