"""What the worker says over HTTP: the webhook receiver, health and metrics."""
