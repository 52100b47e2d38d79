"""The store: tables, their queries and transitions. Nothing else touches the database."""
