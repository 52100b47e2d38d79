"""What a ticket is about and how to handle it: models first, rules last."""
