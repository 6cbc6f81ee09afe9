"""Text inputs: streams of bytes, rows, records, pairs, labelled texts, qrels and runs."""
