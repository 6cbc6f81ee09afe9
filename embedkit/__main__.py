"""`python -m embedkit` is `embedkit`."""

from embedkit.cli.app import main

main()
