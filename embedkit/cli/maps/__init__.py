"""What the commands that fit maps share."""
