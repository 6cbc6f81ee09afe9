"""The command line: the commands and their shared code. Only this package depends on terminals."""
