"""What evaluations share: the systems they set side by side, results as tables and JSON, protocols."""
