"""What figures mean and how sure they are: holdouts, metrics, intervals."""
