"""What is worth doing for a customer: money, offers and the rules they obey."""
