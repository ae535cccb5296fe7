"""`python -m everyhop`."""

from everyhop.cli.app import main

main()
