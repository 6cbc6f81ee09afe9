"""How vectors lie: directions, spectrum, hubs, and whether two sets agree; each set read once."""
