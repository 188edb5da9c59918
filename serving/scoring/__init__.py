"""One whole scoring: made, mapped, kept, compared with what it comes from."""
