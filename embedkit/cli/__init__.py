"""The program: its commands, and what they share; the only place that knows about terminals."""
