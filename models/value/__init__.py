"""What a customer will spend: amounts, the two forecasts they are blended from, and intervals."""
