"""What may be done for whom, and when: actions, where customers stand, and the rules between the two."""
