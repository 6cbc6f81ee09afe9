"""The commands; the only place that knows about terminals."""
