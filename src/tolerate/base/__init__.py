"""Shared foundations: types of arrays and JSON, look-up by name, run folders, file locks, worker processes."""
