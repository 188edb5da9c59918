"""What is worth ranking for each customer: the state lists stand on, and the sources that propose from it."""
