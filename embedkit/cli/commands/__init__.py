"""A file a command, with its help; what several share is beside this folder."""
