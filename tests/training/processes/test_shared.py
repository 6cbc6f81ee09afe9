"""What several processes share, as far as one can see it: names, plans, memory, checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import nn

from embedkit.errors import DataError
from embedkit.losses.kinds.am_softmax import AMSoftmax
from embedkit.training import chunking as memory
from embedkit.training.checkpoints import processes_of
from embedkit.training.chunking import ChunkPlan
from embedkit.training.labels.objectives import Classified
from embedkit.training.preflight import about_resumed
from embedkit.training.processes import consensus
from embedkit.training.processes.consensus import agreed, digest_of, require_same_rows
from embedkit.training.run_folder import require_base
from embedkit.training.trainer import OBJECTIVE, Trainer, own_state


class Around(nn.Module):
    """A model with another around it, as several processes have it."""

    def __init__(self, model):
        super().__init__()
        self.module = model


class Adapted(nn.Module):
    """A frozen weight with a matrix of LoRA's beside it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.lora_A = nn.Parameter(torch.zeros(2))


def objective_of(model):
    return Classified(model, AMSoftmax(), torch.ones(3, 2))


def test_what_is_learnt_has_the_same_names_whatever_is_around_the_model(tmp_path):
    """So that several processes resume from what one has kept, the reverse, and the best of themselves."""
    alone, several = objective_of(Adapted()), objective_of(Around(Adapted()))
    assert own_state(several).keys() == own_state(alone).keys() == {"class_vectors", "model.lora_A"}
    kept = {"class_vectors": torch.full((3, 2), 7.0), "model.lora_A": torch.full((2,), 5.0)}
    save_file(kept, tmp_path / OBJECTIVE)
    for objective in (alone, several):
        trainer = object.__new__(Trainer)
        trainer.loss = objective
        trainer._load_from_checkpoint(str(tmp_path))
        state = own_state(objective)
        assert all(torch.equal(state[name], value) for name, value in load_file(tmp_path / OBJECTIVE).items())


def test_all_processes_train_as_the_least_of_them_can(monkeypatch):
    others = [(ChunkPlan(100, 1), True), (ChunkPlan(2048, 1), True), (ChunkPlan(500, 2), False)]
    monkeypatch.setattr(consensus, "of_all", lambda own: [own, *others])
    assert agreed(ChunkPlan(2048, 1), bf16=True) == (ChunkPlan(100, 2), False)


def test_processes_that_have_read_other_rows_are_told_apart(monkeypatch):
    rows = [Dataset.from_dict({"text": texts}) for texts in (["a", "bc"], ["ab", "c"], ["bc", "a"])]
    digests = [digest_of(each) for each in rows]
    assert len(set(digests)) == 3
    assert digest_of(Dataset.from_dict({"text": ["a", "bc"]})) == digests[0]
    require_same_rows(rows[0])
    monkeypatch.setattr(consensus, "processes", lambda: 3)
    monkeypatch.setattr(consensus, "of_all", lambda own: [own, own, digests[1]])
    with pytest.raises(DataError, match=r"^process 2 read other examples than the first process; give every"):
        require_same_rows(rows[0])


def test_processes_of_one_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "_left_to_group", lambda: 1000)
    assert memory.free_memory(torch.device("cpu")) == 1000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.free_memory(torch.device("cpu")) == 250


@pytest.mark.parametrize(
    ("files", "processes"),
    [(["rng_state.pth"], 1), (["rng_state_0.pth", "rng_state_1.pth", "rng_state_2.pth"], 3)],
)
def test_a_checkpoint_tells_how_many_processes_wrote_it(tmp_path, caplog, files, processes):
    for name in files:
        Path(tmp_path, name).touch()
    assert processes_of(tmp_path) == processes
    about_resumed(processes_of(tmp_path))
    assert len(caplog.messages) == (processes != 1)


def test_a_machine_that_does_not_see_the_output_says_so(folder):
    Path("out.partial").mkdir()
    with pytest.raises(
        DataError,
        match=r"^out\.partial: does not exist for every process; write to a folder that all machines share",
    ):
        require_base(Path("out.partial"))
