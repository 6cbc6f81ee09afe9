"""What one of several processes does: python two_processes.py RANK PROCESSES FOLDER.

Each takes its share of the sentences through Contrastive and DistributedDataParallel, and saves what it got
for each case. One process alone takes all sentences in one forward pass, without the code under test.
"""

from __future__ import annotations

import datetime
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from embedkit.errors import DataError, ModelError
from embedkit.losses.kinds.nt_xent import NTXent
from embedkit.losses.kinds.two_view import TwoView
from embedkit.training.batch_columns import cut_columns
from embedkit.training.distributed import of_all, one_fate
from embedkit.training.objective import Contrastive
from tests.training.conftest import Toy, gradient, padded, some_texts

SENTENCES, BUDGET, STEPS = 8, 9, 2  # of all processes; tokens of a chunk; steps that accumulate
LOSSES = {"two-view": TwoView(hard_negative_weight=2.0), "nt-xent": NTXent()}
CASES = [(loss, columns, passes) for loss in LOSSES for columns in (2, 3) for passes in (1, 2)]


def columns_of(count: int, step: int, rank: int, processes: int) -> list[dict[str, torch.Tensor]]:
    """Return a process's share of the columns; the sentences of the first processes are the longer ones."""
    texts = [sorted(some_texts(SENTENCES, seed=10 * step + place), key=len)[::-1] for place in range(count)]
    share = SENTENCES // processes
    columns = [padded(rows[rank * share : (rank + 1) * share]) for rows in texts]
    return [{**column, "view": torch.full((share,), place)} for place, column in enumerate(columns)]


def alone(loss: str, count: int) -> dict[str, Any]:
    """Return the gradient of STEPS whole batches, one forward pass for each column."""
    model, values = Toy(by_content=True), []
    for step in range(STEPS):
        columns = columns_of(count, step, 0, 1)
        value = LOSSES[loss]([model(column)["sentence_embedding"] for column in columns])
        value.backward()
        values.append(float(value.detach()))
    return {"gradient": gradient(model), "values": values}


def together(loss: str, count: int, passes: int, rank: int, processes: int) -> dict[str, Any]:
    """Return the gradient that is in this process after STEPS batches of all, and how often it travelled."""
    travelled: list[int] = []

    def exchange(group, bucket):  # type: ignore[no-untyped-def]
        travelled.append(bucket.index())
        return allreduce_hook(group, bucket)

    model = DistributedDataParallel(Toy(by_content=True))
    model.register_comm_hook(None, exchange)
    objective = Contrastive(model, LOSSES[loss], chunk_tokens=BUDGET, passes=passes)
    values, chunks = [], []
    for step in range(STEPS):
        columns = columns_of(count, step, rank, processes)
        chunks.append(len(cut_columns(columns, BUDGET)))
        with model.no_sync() if step < STEPS - 1 else torch.enable_grad():
            value = objective(columns)
            value.backward()
        values.append(float(value.detach()))
    return {"gradient": gradient(model), "values": values, "chunks": chunks, "travelled": travelled}


def refusal() -> str:
    """Return what is said to a head that several processes would train apart."""
    try:
        objective = Contrastive(Toy(), TwoView(), head=torch.nn.Linear(6, 6, dtype=torch.float64))
        objective(columns_of(2, 0, 0, 2))
    except ModelError as error:
        return str(error)
    return "not refused"


def fates(rank: int) -> list[str]:
    """Return what becomes of a mistake, a full disk and a bug in the second process, and of none."""
    told = []
    for error in (
        DataError("no such file", where="b.txt"),
        OSError(28, "No space left", "out"),
        KeyError("x"),
    ):
        try:
            with one_fate():
                if rank == 1:
                    raise error
        except Exception as stopped:
            told.append(f"{type(stopped).__name__}: {stopped}")
    with one_fate():
        told.append(str(of_all(rank * 2)))
    return told


def main(rank: int, processes: int, folder: Path) -> None:
    """Run all cases and save the results of this process."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    results: dict[Any, Any] = {}
    if processes > 1:
        store = dist.FileStore(str(folder / "store"), processes)
        wait = datetime.timedelta(seconds=60)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=processes, timeout=wait)
        results["refusal"], results["fates"] = refusal(), fates(rank)
    for case in CASES:
        results[case] = together(*case, rank, processes) if processes > 1 else alone(*case[:2])
    torch.save(results, folder / f"{rank}-of-{processes}.pt")
    if processes > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
