"""How many dimensions vectors need: rules of thumb, and what every way to shrink them keeps, measured."""
