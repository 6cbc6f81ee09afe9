"""Encodes a.txt on a cluster in shards of 100 rows, and prints the largest memory of this process, in KiB."""

import resource
import sys
from pathlib import Path

from embedkit.cluster.connection import connected
from embedkit.cluster.encoders import EncoderRecipe
from embedkit.cluster.encoding_workers import encode_on, survey_texts
from embedkit.data.text.records import TextFormat
from embedkit.embedding.encoder import EncoderSettings


def main(address: str, path: str) -> None:
    """Encode into `path` on the cluster at `address`."""
    recipe = EncoderRecipe(EncoderSettings("hash:dim=64"))
    with connected(address) as cluster:
        texts = survey_texts(cluster, ["a.txt"], TextFormat())
        for _ in encode_on(cluster, Path(path), recipe, texts, shard_rows=100):
            pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


main(*sys.argv[1:])
