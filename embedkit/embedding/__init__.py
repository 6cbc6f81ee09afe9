"""The core that every command shares: text becomes vectors."""
