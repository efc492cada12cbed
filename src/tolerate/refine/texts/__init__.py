"""Refining of texts."""
