"""Where tables are stored: files, databases, and the warehouse as its readers see it."""
