"""What the training commands share: options, progress, several processes."""
