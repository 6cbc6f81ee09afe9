"""A Ray cluster of two machines with one processor each, on this one: prints its address, then does what each
line of standard input says, and answers with a line; it ends with its input.
"""

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

MACHINE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def main() -> None:
    """Serve until standard input ends; `lose` kills a machine, and another one takes its place."""
    cluster = Cluster(initialize_head=True, head_node_args={**MACHINE, "include_dashboard": False})
    second = cluster.add_node(**MACHINE)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "lose":
            cluster.remove_node(second, allow_graceful=False)
            second = cluster.add_node(**MACHINE)
        print("done", flush=True)
    cluster.shutdown()


main()
