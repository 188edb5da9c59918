"""What may be done for whom, and when: actions, the standing of customers, and the rules between the two."""
