"""What people read of the whole shop, from its warehouse and the champions: a page of figures, demand."""
