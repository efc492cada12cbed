"""Decide, with a guarantee, what AI-generated content may be released."""

__version__ = "0.1.0"
