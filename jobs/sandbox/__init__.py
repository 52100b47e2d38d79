"""Simulated vendors over real HTTP, for trying the product with no account."""
