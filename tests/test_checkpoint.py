import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmnist.checkpoint import FILE_NAME, Checkpoint, load_checkpoint, save_checkpoint
from kmnist.config import TrainConfig
from kmnist.errors import CheckpointError
from kmnist.experiment import Splits
from kmnist.training.fit import fit
from tests.nets import ONE_THREAD, network


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    from kmnist.data.sample import draw_dataset
    from kmnist.experiment import prepare

    config = TrainConfig.parse({"arch": "dropout", "hidden": "8", "epochs": 2, "schedule": "step", "batch_size": 32})
    splits: Splits = prepare(config, draw_dataset(train=200, test=20))
    model = network(config)
    epochs = []
    for epoch in fit(model, splits.train, splits.valid, config, ONE_THREAD):
        epochs.append(epoch)
    assert epoch.live is not None
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    best = {name: tensor + 1 for name, tensor in weights.items()}
    return Checkpoint(
        run_id="run1",
        config=config,
        compute=ONE_THREAD,
        spec=splits.spec,
        data_digests=splits.digests,
        epochs=epochs,
        best_epoch=1,
        model=weights,
        best=best,
        optimisation=epoch.live.optimisation.state_dict(),
        confusion=np.arange(100).reshape(10, 10),
        load={"system/cpu": 0.5},
    )


def test_what_is_saved_is_loaded(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "run1"
    save_checkpoint(checkpoint, folder)
    loaded = load_checkpoint(folder)
    assert (loaded.run_id, loaded.config, loaded.data_digests) == ("run1", checkpoint.config, checkpoint.data_digests)
    assert (loaded.compute, loaded.spec) == (checkpoint.compute, checkpoint.spec)
    assert loaded.epochs == checkpoint.epochs
    assert loaded.best_epoch == 1
    assert loaded.load == checkpoint.load
    assert loaded.confusion is not None
    assert checkpoint.confusion is not None
    assert np.array_equal(loaded.confusion, checkpoint.confusion)
    for part in ("model", "best", "optimisation"):
        ours, theirs = getattr(checkpoint, part), getattr(loaded, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert list(folder.iterdir()) == [folder / FILE_NAME]


@given(position=st.floats(0, 1, exclude_max=True))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_checkpoint_is_told_as_such(checkpoint: Checkpoint, tmp_path: Path, position: float) -> None:
    folder = tmp_path / "run1"
    save_checkpoint(checkpoint, folder)
    path = folder / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(position * len(content))])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(folder)


def test_a_missing_checkpoint_names_those_that_there_are(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "run1")
    with pytest.raises(CheckpointError, match=r"no checkpoint of run run2 in .*; there are checkpoints of: run1"):
        load_checkpoint(tmp_path / "run2")


def test_a_full_disk_leaves_the_checkpoint_before(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """The kernel refuses to let a file grow past the limit, as a full disk would."""
    folder = tmp_path / "run1"
    save_checkpoint(checkpoint, folder)
    before = (folder / FILE_NAME).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        with pytest.raises(CheckpointError, match=r"cannot be written .*kmnist train --resume run1"):
            save_checkpoint(checkpoint, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (folder / FILE_NAME).read_bytes() == before
    assert list(folder.iterdir()) == [folder / FILE_NAME]
