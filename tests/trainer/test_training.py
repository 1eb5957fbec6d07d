"""The ready trainer on real data, in forks of a process with warm imports."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("warm")

METRICS = {"train_loss", "val_loss", "train_accuracy", "val_accuracy", "epoch_seconds", "parameters"}


def test_the_command_learns_the_digits(launcher):
    """The one test that pays for importing torch in a process of its own."""
    running = launcher.command(["-m", "kubestudy_trainer", "--epochs=8", "--lr=0.003", "--hidden=128,64"])
    ended = running.end()
    assert (ended.code, ended.stderr) == (0, "")
    values = ended.message["values"]
    assert values["val_accuracy"] >= 0.95
    assert set(values) == METRICS | {"epochs"}
    assert values["parameters"] == 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    assert values["epochs"] == 8
    curve = dict(ended.message["curve"]["val_accuracy"])
    assert sorted(curve) == list(range(1, 9))
    assert max(curve.values()) == pytest.approx(values["val_accuracy"], rel=1e-5)
    directory = launcher.directory / "checkpoint"
    assert [path.name for path in directory.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    "arguments",
    [
        "--optimizer=sgd --lr=0.05 --momentum=0.9 --nesterov=true --activation=tanh",
        "--optimizer=sgd --lr=0.1 --momentum= --nesterov=",
        "--optimizer=adam --lr=0.01 --activation=gelu --dropout=0.1",
        "--optimizer=adamw --lr=0.01 --weight-decay=0.01 --layers=0",
        "--optimizer=nadam --lr=0.01 --width=16 --layers=2",
        "--optimizer=rmsprop --lr=0.003 --momentum=0.5",
    ],
)
@pytest.mark.parametrize("dataset", ["breast-cancer", "wine"])
def test_each_optimizer_learns(launcher, arguments, dataset):
    ended = launcher.main(
        f"--dataset={dataset}", "--epochs=15", *arguments.split(), KUBESTUDY_OBJECTIVES="val_accuracy"
    ).end()
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.message["values"]["val_accuracy"] > 0.9


def test_early_stopping(launcher):
    ended = launcher.main("--dataset=wine", "--epochs=500", "--lr=0.05", "--early-stopping=3").end()
    values = ended.message["values"]
    assert 4 <= values["epochs"] < 500
    assert ended.stdout.count("step ") == values["epochs"]


def test_final_values_are_the_best_epochs(launcher):
    ended = launcher.main("--dataset=wine", "--epochs=12", "--lr=0.1", "--checkpoint=false").end()
    curve = ended.message["curve"]
    losses = dict(curve["val_loss"])
    best = max(curve["val_accuracy"], key=lambda point: (point[1], -losses[point[0]]))[0]
    for metric in ("val_loss", "val_accuracy", "train_loss", "train_accuracy"):
        assert ended.message["values"][metric] == pytest.approx(dict(curve[metric])[best], rel=1e-5)
    assert not (launcher.directory / "checkpoint").exists()


def test_a_loss_that_explodes_ends_with_code_3(launcher):
    ended = launcher.main("--dataset=wine", "--optimizer=sgd", "--lr=1e30", "--epochs=50").end()
    assert ended.code == 3
    assert ended.stderr.count("\n") == 1
    assert ended.message["reason"] == "NonFiniteMetric"
    assert "loss became" in ended.message["message"]


def test_more_memory_than_there_is_ends_with_code_4(launcher):
    ended = launcher.main("--dataset=wine", "--hidden=2000000000,2000000000", "--epochs=1").end()
    assert (ended.code, ended.message["reason"]) == (4, "OutOfMemory"), ended.message


def test_a_csv_file(launcher):
    path = launcher.directory / "flowers.csv"
    rows = [f"{n % 2 + n / 1000},{['no', 'yes'][n % 2]},7" for n in range(60)]
    path.write_text("size,blue,constant\n" + "\n".join(rows) + "\n\n")
    ended = launcher.main("--data=flowers.csv", "--target=blue", "--lr=0.05", "--epochs=10").end()
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.message["values"]["val_accuracy"] == 1.0
    assert ended.message["values"]["parameters"] == 2 * 64 + 64 + 64 * 2 + 2


def test_an_npz_file(launcher):
    import numpy as np

    y = np.arange(90) % 3
    np.savez(launcher.directory / "rows.npz", X=np.stack([y + 0.0, -y, y * y], axis=1).reshape(90, 3, 1), y=y)
    ended = launcher.main("--data=rows.npz", "--lr=0.05", "--epochs=10").end()
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.message["values"]["val_accuracy"] == 1.0


CSV = {
    "header": ("", "--data rows.csv needs a header"),
    "one-column": ("a\n1\n", "--data rows.csv needs a header"),
    "text": ("a,b\n1,x\nred,y\n", "--data rows.csv has 'red' for a in line 3, which is no number"),
    "gap": ("a,b\n1,x\n2,\n", "--data rows.csv has no class in line 3"),
    "ragged": ("a,b\n1,x\n2\n", "--data rows.csv has 1 cells, not 2, in line 3"),
    "nan": ("a,b\n1,x\nnan,y\n", "--data rows.csv has features that are NaN or infinite"),
    "regression": ("a,b\n1,0.5\n2,0.7\n", "--data rows.csv has a target with fractions"),
    "empty": ("a,b\n", "--data must hold at least two classes"),
    "single": ("a,b\n1,x\n2,x\n3,y\n", "--data must hold at least two classes with at least two rows"),
    "small": ("a,b\n1,x\n2,x\n3,y\n4,y\n5,z\n6,z\n", "--validation-fraction 0.2 does not split 6 rows"),
}


@pytest.mark.parametrize("case", CSV)
def test_csv_files_that_cannot_be_learnt_from(launcher, case):
    content, says = CSV[case]
    (launcher.directory / "rows.csv").write_text(content)
    refused(launcher.main("--data=rows.csv").end(), says)


def test_files_that_cannot_be_read(launcher):
    import numpy as np

    refused(launcher.main("--data=none.csv").end(), "--data none.csv cannot be read: No such file")
    refused(launcher.main("--data=none.npz").end(), "--data none.npz cannot be read: No such file")
    (launcher.directory / "text.npz").write_text("no zip")
    refused(launcher.main("--data=text.npz").end(), "--data text.npz is no NPZ file of plain arrays")
    np.savez(launcher.directory / "other.npz", a=np.zeros(3))
    refused(launcher.main("--data=other.npz").end(), "--data other.npz must hold the arrays X and y")
    np.savez(launcher.directory / "shape.npz", X=np.zeros((3, 2)), y=np.zeros(4))
    refused(launcher.main("--data=shape.npz").end(), "--data shape.npz has X of shape (3, 2) and y of shape (4,)")
    np.savez(launcher.directory / "object.npz", X=np.array([{}, {}]), y=np.zeros(2))
    refused(launcher.main("--data=object.npz").end(), "--data object.npz is no NPZ file of plain arrays")
    (launcher.directory / "latin.csv").write_bytes(b"a,b\n1,\xe4\n")
    refused(launcher.main("--data=latin.csv").end(), "--data latin.csv is no CSV file in UTF-8")
    (launcher.directory / "rows.csv").write_text("a,b\n1,x\n")
    refused(launcher.main("--data=rows.csv", "--target=c").end(), "--target rows.csv has no column c; it has a, b")


def refused(ended, says: str) -> None:
    assert ended.code == 2, ended.stderr
    assert ended.stderr.startswith(f"kubestudy-train: {says}")
    assert ended.stderr.count("\n") == 1
    assert ended.message["reason"] == "BadParameters"


def test_fit_as_a_function(launcher):
    """What a program that tunes in its own process sees."""

    def program() -> int:
        import numpy as np
        import torch

        from kubestudy_trainer.datasets import load
        from kubestudy_trainer.training import TrainConfig, fit

        config = TrainConfig(dataset="wine", epochs=4, lr=0.02, dropout=0.1, device="cpu")
        torch.manual_seed(5)
        before = torch.get_rng_state()
        epochs = []
        first = fit(config, None, lambda epoch, metrics: epochs.append((epoch, set(metrics))))
        assert torch.equal(before, torch.get_rng_state()), "the caller's random numbers are left alone"
        data = load(config)
        assert np.allclose(data.train_x.mean(axis=0), 0, atol=1e-5)
        assert np.allclose(data.train_x.std(axis=0), 1, atol=1e-5)
        assert len(data.val_y) == 36 and len(set(data.val_y)) == data.classes == 3
        second = fit(config, data)
        Path("values").write_text(json.dumps([first, second, [epoch for epoch, _ in epochs]]))
        assert epochs[0][1] == METRICS

        class PrunedError(Exception):
            pass

        def prune(epoch, metrics):
            raise PrunedError

        try:
            fit(config, data, prune)
        except PrunedError:
            return 0
        return 1

    ended = launcher.fork(program).end()
    assert (ended.code, ended.stderr) == (0, "")
    first, second, epochs = json.loads((launcher.directory / "values").read_text())
    assert epochs == [1, 2, 3, 4]
    assert first.pop("epoch_seconds") > 0
    assert second.pop("epoch_seconds") > 0
    assert first == second


def test_threads_follow_the_variable_in_a_fork(launcher):
    def program() -> int:
        import torch

        from kubestudy_trainer.__main__ import main

        assert main(["--dataset=wine", "--epochs=1"]) == 0
        return torch.get_num_threads()

    assert launcher.fork(program, OMP_NUM_THREADS="3").end().code == 3
    assert launcher.fork(program, OMP_NUM_THREADS="2,1").end().code == 2
