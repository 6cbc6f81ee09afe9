"""Plans: which index kind meets the requirements at the least cost, on one machine or several."""
