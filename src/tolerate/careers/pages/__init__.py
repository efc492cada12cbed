"""Career plans as pages, in the terminal and as records."""
