"""Text in: streams of bytes, rows, records, pairs, labelled texts, relevance judgements and runs."""
