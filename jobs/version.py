"""The product's version, which ``/health`` shows; pyproject.toml has the same."""

VERSION = "0.1.0"
