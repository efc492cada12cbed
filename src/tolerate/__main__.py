"""`python -m tolerate` is the command line."""

from tolerate.cli import main

main()
