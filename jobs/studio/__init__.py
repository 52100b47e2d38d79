"""The data browser: a page for each table of the ledger. Only ``jobs.verbs.studio`` imports it."""
