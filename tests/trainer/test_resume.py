"""Interrupted runs end as if they had not been interrupted, to the last bit."""

import signal
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("warm")

STUDY = {"KUBESTUDY_OBJECTIVES": "val_accuracy,val_loss"}
CONFIGURATIONS = [
    "--optimizer=adam --dropout=0.2 --lr=0.002",
    "--optimizer=sgd --momentum=0.9 --nesterov=true --lr=0.02 --early-stopping=6",
    "--optimizer=nadam --lr=0.002 --dropout=0.1",
    "--optimizer=rmsprop --momentum=0.5 --lr=0.0005",
]
EPOCHS = 30


def outcome(ended) -> tuple[dict, dict]:
    """The final values and the curve, without the times."""
    assert (ended.code, ended.stderr) == (0, "")
    values, curve = ended.message["values"], ended.message["curve"]
    return (
        {name: value for name, value in values.items() if name != "epoch_seconds"},
        {name: curve[name] for name in ("val_accuracy", "val_loss")},
    )


def weights(directory: Path) -> list[bytes]:
    """The tensors' bytes in a model file, which is a ZIP archive."""
    with zipfile.ZipFile(directory / "model.pt") as archive:
        return [archive.read(name) for name in sorted(archive.namelist()) if "/data/" in name]


def start(launcher, arguments: str, directory: str):
    return launcher.main(
        f"--epochs={EPOCHS}",
        "--batch-size=64",
        *arguments.split(),
        KUBESTUDY_CHECKPOINT_DIR=directory,
        **STUDY,
    )


@pytest.mark.parametrize("arguments", CONFIGURATIONS)
def test_sigterm_and_resume_again_and_again(launcher, arguments):
    whole = start(launcher, arguments, "whole").end()

    # The second time within the first epoch after the first resumption.
    for sign, least in (("step 4 ", 4), ("resumed after", 4), ("step 11 ", 11)):
        running = start(launcher, arguments, "parts")
        running.saw(sign)
        running.kill(signal.SIGTERM)
        ended = running.end()
        assert (ended.code, ended.message["reason"], ended.message["values"]) == (143, "Terminated", {})
        steps = [step for step, _ in ended.message["curve"]["val_accuracy"]]
        assert steps == list(range(1, steps[-1] + 1))
        assert steps[-1] >= least
        assert [path.name for path in (launcher.directory / "parts").iterdir()] == ["checkpoint.pt"]
    last = start(launcher, arguments, "parts").end()

    assert f"resumed after epoch {steps[-1]} from" in last.stdout
    assert "step 1 " not in last.stdout
    assert outcome(last) == outcome(whole)
    assert weights(launcher.directory / "parts") == weights(launcher.directory / "whole")
    assert len(weights(launcher.directory / "whole")) == 4


def test_sigkill_and_resume_from_the_best_epoch(launcher):
    arguments = CONFIGURATIONS[0]
    whole = start(launcher, arguments, "whole").end()

    running = start(launcher, arguments, "parts")
    running.saw("step 9 ")
    running.kill(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    last = start(launcher, arguments, "parts").end()

    assert "resumed after epoch" in last.stdout
    assert outcome(last) == outcome(whole)
    assert weights(launcher.directory / "parts") == weights(launcher.directory / "whole")


def test_sigterm_before_the_first_epoch(launcher):
    arguments = "--dataset=wine"
    running = start(launcher, f"{arguments} --epochs=100000", "state")
    running.kill(signal.SIGTERM)
    # It may arrive before there is a handler for it, or at any time after.
    assert running.end().code in {143, -signal.SIGTERM}
    assert start(launcher, arguments, "state").end().code == 0


def test_a_checkpoint_of_another_configuration_is_ignored(launcher):
    running = start(launcher, CONFIGURATIONS[0], "state")
    running.saw("step 3 ")
    running.kill(signal.SIGTERM)
    assert running.end().code == 143
    ended = start(launcher, CONFIGURATIONS[3], "state").end()
    assert ended.code == 0
    assert "belongs to another configuration and is ignored" in ended.stdout
    assert "step 1 " in ended.stdout


def test_a_damaged_checkpoint_is_ignored(launcher):
    directory = launcher.directory / "state"
    directory.mkdir()
    (directory / "checkpoint.pt").write_bytes(b"PK\x03\x04 damaged")
    ended = start(launcher, "--dataset=wine", "state").end()
    assert (ended.code, ended.stderr) == (0, "")
    assert "cannot be read and is ignored" in ended.stdout
    assert "step 1 " in ended.stdout


def test_a_finished_run_leaves_the_best_model_for_others(launcher):
    ended = start(launcher, "--dataset=wine --hidden=8 --device=cpu", "state").end()
    assert ended.code == 0

    def program() -> int:
        import torch

        from kubestudy_trainer.datasets import load
        from kubestudy_trainer.network import build_network
        from kubestudy_trainer.training import TrainConfig

        model = torch.load("state/model.pt", weights_only=True)
        config = TrainConfig(**{**model["config"], "hidden": tuple(model["config"]["hidden"])})
        data = load(config)
        network = build_network(config, data.train_x.shape[1], data.classes)
        network.load_state_dict(model["state_dict"])
        right = network.eval()(torch.from_numpy(data.val_x)).argmax(dim=1) == torch.from_numpy(data.val_y)
        return 0 if right.float().mean().item() == pytest.approx(model["metrics"]["val_accuracy"]) else 1

    assert launcher.fork(program).end().code == 0


def test_a_stop_within_an_epoch_leaves_nothing_of_it(launcher):
    """Stops after an exact number of batches, which a signal cannot: 5 batches make an epoch."""

    def program() -> int:
        from itertools import count

        from kubestudy_trainer.training import TrainConfig, TrainingStopped, fit

        config = TrainConfig(dataset="wine", epochs=8, lr=0.01, dropout=0.2, device="cpu")
        (whole, parts) = (Path("whole"), Path("parts"))
        for directory in (whole, parts):
            directory.mkdir()
        expected = fit(config, directory=whole)
        for batches in (2, 8, 3, 13, 1):
            asked = count()
            try:
                fit(config, directory=parts, should_stop=lambda asked=asked, last=batches: next(asked) == last)
            except TrainingStopped:
                continue
            return 1
        actual = fit(config, directory=parts)
        same = all(actual[name] == expected[name] for name in expected if name != "epoch_seconds")
        return 0 if same and weights(whole) == weights(parts) else 2

    ended = launcher.fork(program).end()
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.count("resumed after epoch 1 ") == 2
    assert ended.stdout.count("resumed after epoch 3 ") == 2


def test_where_no_checkpoint_can_be_written_it_trains_all_the_same(launcher):
    ended = launcher.main(
        "--dataset=wine", "--epochs=2", KUBESTUDY_CHECKPOINT_DIR="/proc/none/checkpoint", **STUDY
    ).end()
    assert ended.code == 0
    assert "no checkpoints are kept" in ended.stderr
    assert set(ended.message["values"]) >= {"val_accuracy"}
