"""Trains a multilayer perceptron, and goes on where an interrupted run has left off."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kubestudy_trainer import checkpoint
from kubestudy_trainer.config import TrainConfig
from kubestudy_trainer.datasets import Split, load
from kubestudy_trainer.errors import BadParametersError, NonFiniteMetricError
from kubestudy_trainer.network import build_network, build_optimizer

__all__ = ["Metrics", "TrainConfig", "TrainingStopped", "fit"]

Metrics = dict[str, float]

# Batches between two looks at the loss: a look makes an accelerator wait.
_LOSS_CHECK_BATCHES = 32
# The part of the time that saving better epochs may take.
_SAVING_SHARE = 0.02


class TrainingStopped(Exception):  # noqa: N818 - an event, as KeyboardInterrupt, and no error
    """Training was asked to stop; its state is in the checkpoint, where there is one."""


def fit(
    config: TrainConfig,
    data: Split | None = None,
    on_epoch: Callable[[int, Metrics], None] = lambda _epoch, _metrics: None,
    *,
    directory: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_resume: Callable[[list[Metrics]], None] = lambda _history: None,
) -> Metrics:
    """Train, and return the best epoch's metrics.

    On a CPU the same configuration, data and number of threads give the same weights and values to the
    last bit, whether or not the run was interrupted on its way; `epoch_seconds` is the exception.

    Args:
        config: The settings.
        data: The rows; None to load what the configuration names.
        on_epoch: Called after each epoch with its number from 1 and its metrics: train_loss and val_loss
            (mean cross entropy in nats), train_accuracy (mean over the epoch, with dropout) and
            val_accuracy (shares of rows), epoch_seconds, parameters (count). What it raises ends training.
        directory: Where `checkpoint.pt` is kept while training and the best `model.pt` afterwards; None to
            keep nothing. A better epoch is saved unless saving has just taken its share of the time.
        should_stop: Asked before each batch.
        on_resume: Called, before anything else, with the metrics of each epoch that a checkpoint has
            spared this run.

    Returns:
        The metrics of the epoch with the highest val_accuracy (of several, the one with the lowest
        val_loss), and `epochs`, how many there were.

    Raises:
        BadParametersError: The data or the device is not as the configuration needs it.
        NonFiniteMetricError: A loss became NaN or infinite.
        TrainingStopped: `should_stop` said so.
    """
    rows = load(config) if data is None else data
    device = _device(config)
    with _own_random_numbers(device):
        run = _Run(config, rows, device, directory)
        if run.resume():
            on_resume(run.progress.history)
        while not run.done:
            on_epoch(run.progress.epoch + 1, run.epoch(should_stop))
        return run.finish()


@dataclass
class _Progress:
    """How far a run has come, at the boundary between two epochs.

    Attributes:
        epoch: Epochs finished.
        stale: Epochs since the best one.
        best: The best epoch's metrics.
        best_weights: The network's state after the best epoch.
        history: Each finished epoch's metrics.
    """

    epoch: int = 0
    stale: int = 0
    best: Metrics = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[Metrics] = field(default_factory=list)


class _Run:
    def __init__(self, config: TrainConfig, rows: Split, device: torch.device, directory: Path | None) -> None:
        self._config = config
        self._device = device
        self._directory = directory
        self._fingerprint = _fingerprint(config, rows) if directory is not None else ""
        self._train = torch.from_numpy(rows.train_x).to(device), torch.from_numpy(rows.train_y).to(device)
        self._val = torch.from_numpy(rows.val_x).to(device), torch.from_numpy(rows.val_y).to(device)
        _seed(config.seed, 0)
        self._network = build_network(config, rows.train_x.shape[1], rows.classes).to(device)
        self._optimizer = build_optimizer(config, self._network)
        self._parameters = sum(parameter.numel() for parameter in self._network.parameters())
        self.progress = _Progress()
        # What a checkpoint would hold for the last boundary; within an epoch the network is past it.
        self._boundary: dict[str, Any] | None = None
        self._next_saving = 0.0

    @property
    def done(self) -> bool:
        patience = self._config.early_stopping
        return self.progress.epoch >= self._config.epochs or 0 < patience <= self.progress.stale

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one of this very configuration and data."""
        if self._directory is None:
            return False
        path = self._directory / checkpoint.CHECKPOINT
        content = checkpoint.load(path)
        if content is None:
            return False
        if content.get("fingerprint") != self._fingerprint:
            print(f"the checkpoint {path} belongs to another configuration and is ignored", flush=True)
            return False
        self._network.load_state_dict(content["network"])
        # A copy: the optimizer takes tensors over and changes them, and the boundary must stay what it is.
        self._optimizer.load_state_dict(_copied_state(content["optimizer"]))
        self.progress = _Progress(**content["progress"])
        self._boundary = content
        print(f"resumed after epoch {self.progress.epoch} from {path}", flush=True)
        return True

    def epoch(self, should_stop: Callable[[], bool]) -> Metrics:
        """Train one more epoch and validate."""
        started = time.perf_counter()
        number = self.progress.epoch + 1
        train_loss, train_accuracy = self._train_epoch(number, should_stop)
        val_loss, val_accuracy = self._validate()
        metrics = {
            "train_loss": train_loss,
            "val_loss": val_loss,
            "train_accuracy": train_accuracy,
            "val_accuracy": val_accuracy,
            "epoch_seconds": time.perf_counter() - started,
            "parameters": float(self._parameters),
        }
        if not math.isfinite(val_loss):
            raise _non_finite("val_loss", val_loss, number, self._config)
        self._advance(metrics)
        return metrics

    def finish(self) -> Metrics:
        """Leave the best model behind instead of the checkpoint."""
        if self._directory is not None:
            checkpoint.save(
                self._directory / checkpoint.MODEL,
                {
                    "config": _plain(self._config),
                    "metrics": self.progress.best,
                    "state_dict": {name: tensor.cpu() for name, tensor in self.progress.best_weights.items()},
                },
            )
            (self._directory / checkpoint.CHECKPOINT).unlink(missing_ok=True)
        return {**self.progress.best, "epochs": float(self.progress.epoch)}

    def _train_epoch(self, number: int, should_stop: Callable[[], bool]) -> tuple[float, float]:
        features, classes = self._train
        count = len(classes)
        # Random numbers start anew with each epoch, so a resumed run needs no generator's state.
        _seed(self._config.seed, number)
        order = torch.randperm(count).to(self._device)
        # Shuffled at once, so that a batch is a view and no copy.
        features, classes = features[order], classes[order]
        loss_sum = torch.zeros((), device=self._device)
        correct = torch.zeros((), dtype=torch.int64, device=self._device)
        self._network.train()
        for batch, start in enumerate(range(0, count, self._config.batch_size), start=1):
            if should_stop():
                self._save_boundary()
                raise TrainingStopped
            inputs = features[start : start + self._config.batch_size]
            targets = classes[start : start + self._config.batch_size]
            logits = self._network(inputs)
            loss = functional.cross_entropy(logits, targets)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            loss_sum += loss.detach() * len(targets)
            correct += (logits.detach().argmax(dim=1) == targets).sum()
            if batch % _LOSS_CHECK_BATCHES == 0:
                self._check_loss(loss_sum, number)
        self._check_loss(loss_sum, number)
        return loss_sum.item() / count, correct.item() / count

    def _check_loss(self, loss_sum: Tensor, number: int) -> None:
        # A sum stays NaN or infinite once a summand was.
        value = loss_sum.item()
        if not math.isfinite(value):
            raise _non_finite("train_loss", value, number, self._config)

    @torch.no_grad()
    def _validate(self) -> tuple[float, float]:
        features, classes = self._val
        self._network.eval()
        logits = self._network(features)
        accuracy = (logits.argmax(dim=1) == classes).sum().item() / len(classes)
        return functional.cross_entropy(logits, classes).item(), accuracy

    def _advance(self, metrics: Metrics) -> None:
        progress = self.progress
        progress.epoch += 1
        progress.history.append(metrics)
        improved = not progress.best or _rank(metrics) > _rank(progress.best)
        progress.stale = 0 if improved else progress.stale + 1
        if improved:
            progress.best = metrics
            progress.best_weights = _copied(self._network)
        if self._directory is not None:
            self._boundary = {
                "fingerprint": self._fingerprint,
                "network": _copied(self._network),
                "optimizer": _copied_state(self._optimizer.state_dict()),
                # A shallow copy: metrics and weights are replaced and never changed.
                "progress": {**vars(progress), "history": list(progress.history)},
            }
            if improved and time.monotonic() >= self._next_saving:
                self._save_boundary()

    def _save_boundary(self) -> None:
        if self._directory is not None and self._boundary is not None:
            begun = time.monotonic()
            checkpoint.save(self._directory / checkpoint.CHECKPOINT, self._boundary)
            ended = time.monotonic()
            # Where epochs are short, saving each better one would take longer than training it.
            self._next_saving = ended + (ended - begun) / _SAVING_SHARE


def _rank(metrics: Metrics) -> tuple[float, float]:
    return metrics["val_accuracy"], -metrics["val_loss"]


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _copied_state(state: Any) -> Any:
    """Copy an optimizer's state: of its tensors the values, in a tenth of the time that copy.deepcopy takes."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _copied_state(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_copied_state(value) for value in state)
    return state


def _non_finite(metric: str, value: float, epoch: int, config: TrainConfig) -> NonFiniteMetricError:
    return NonFiniteMetricError(
        f"{metric} became {value} in epoch {epoch}; a learning rate below {config.lr} may keep it finite"
    )


def _device(config: TrainConfig) -> torch.device:
    if config.device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if config.device == "cuda":
        raise BadParametersError("there is no CUDA device on this machine; use cpu or auto", "device")
    return torch.device("cpu")


@contextmanager
def _own_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave the caller's random numbers as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _seed(seed: int, epoch: int) -> None:
    # A digest, so that neighbouring seeds do not share their epochs' random numbers.
    digest = hashlib.blake2b(f"{seed}:{epoch}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest) >> 1)


def _plain(config: TrainConfig) -> dict[str, Any]:
    plain = asdict(config)
    plain["data"] = None if config.data is None else str(config.data)
    plain["dataset"] = config.dataset_name if config.data is None else None
    plain["hidden"] = list(config.hidden)
    return plain


def _fingerprint(config: TrainConfig, rows: Split) -> str:
    plain = _plain(config)
    # The rows themselves count, wherever they were read from; the device may change from run to run.
    for name in ("data", "dataset", "target", "device"):
        del plain[name]
    text = f"{sorted(plain.items())} {rows.fingerprint()}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
