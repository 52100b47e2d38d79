"""The work: find tickets, triage them, tell the team, settle."""
