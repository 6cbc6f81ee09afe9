"""The checks of `embedkit doctor`: the installation, the machine, and a self-test."""
