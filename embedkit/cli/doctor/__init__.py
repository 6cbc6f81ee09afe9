"""What `embedkit doctor` looks at: what is installed, the machine, and a self-test."""
