"""Measure indexes: queries, their exact neighbours, the recall of an index, and its speed."""
