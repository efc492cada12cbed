"""The version of tolerate; `pyproject.toml` states the same one, and a test compares them."""

__version__ = "0.1.0"
