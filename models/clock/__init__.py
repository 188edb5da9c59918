"""When customers buy a product again: spells between purchases, a renewal model of them, expected demand."""
