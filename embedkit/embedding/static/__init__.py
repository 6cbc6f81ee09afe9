"""Static encoders: one vector per token, whose mean is the vector of a text."""
