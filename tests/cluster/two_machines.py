"""A Ray cluster of two machines with one processor each, on this one: prints its address, and ends with its
input.
"""

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

MACHINE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def main() -> None:
    """Serve until standard input ends."""
    cluster = Cluster(initialize_head=True, head_node_args={**MACHINE, "include_dashboard": False})
    cluster.add_node(**MACHINE)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()


main()
