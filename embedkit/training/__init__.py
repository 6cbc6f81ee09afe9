"""Training: text becomes a better encoder. Imported only when a command trains, so torch comes on top."""
