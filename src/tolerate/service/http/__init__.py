"""HTTP requests, limits, metrics and logging of the service."""
