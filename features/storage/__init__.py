"""Where tables lie: files, databases, and the warehouse as its readers see it."""
