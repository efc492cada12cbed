"""Connections to the model servers behind the gateway."""
