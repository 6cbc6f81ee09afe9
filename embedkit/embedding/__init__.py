"""The core that every command shares: encoders turn text into vectors."""
