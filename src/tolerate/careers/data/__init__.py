"""Occupations, tasks and skills as they are published, and reading them."""
