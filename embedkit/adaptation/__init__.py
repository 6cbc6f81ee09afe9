"""Adaptation to a domain: training examples that come from an index and its judged queries."""
