"""What a CRM asks of the scoring in service: one customer or all, targets, plans."""
