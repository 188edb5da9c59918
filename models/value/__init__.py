"""What a customer will spend: amounts, their two parts, and intervals."""
