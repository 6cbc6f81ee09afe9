"""What training commands share."""
