"""What is worth doing for a customer, in money, within what ``models.policy`` permits."""
