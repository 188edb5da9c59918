"""What is worth doing for a customer, in money, of what ``models.policy`` permits."""
