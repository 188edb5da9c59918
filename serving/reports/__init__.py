"""Reports on the whole shop, from its warehouse and the champions: a page of figures, and demand."""
