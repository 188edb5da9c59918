"""What marketing and finance ask: one customer or all, targets, plans, demand, the report."""
