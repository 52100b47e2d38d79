"""Attacks on the triage, each with a harmless twin, and what came of them on the card."""
