"""Generators of pictures, one idea a file."""
