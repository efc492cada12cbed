"""Language models, one idea a file."""
