"""HubSpot, read only: search, batch reads, and its payloads turned into tickets."""
