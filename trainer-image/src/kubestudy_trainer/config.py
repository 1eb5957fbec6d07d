"""The settings of one training run, and which of them are possible."""

import math
from dataclasses import dataclass
from pathlib import Path

from kubestudy_trainer.errors import BadParametersError

DATASETS = ("digits", "breast-cancer", "wine")
ACTIVATIONS = ("relu", "gelu", "tanh")
OPTIMIZERS = ("sgd", "adam", "adamw", "nadam", "rmsprop")
DEVICES = ("auto", "cpu", "cuda")

_WITH_MOMENTUM = ("sgd", "rmsprop")
# More has no tensor dimension; far less has no memory.
_WIDEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The settings of one training run of a multilayer perceptron that classifies.

    Attributes:
        dataset: One of `DATASETS`, which scikit-learn brings along; None for digits, or for `data`.
        data: A .csv file with a header line, or an .npz file with the arrays X and y.
        target: The CSV column that holds the classes; None for the last one.
        validation_fraction: The share of the rows held out for validation, between 0 and 1.
        split_seed: Seed of the stratified split into training and validation rows.
        hidden: The widths of the hidden layers, in units; empty for none.
        activation: One of `ACTIVATIONS`, after each hidden layer.
        optimizer: One of `OPTIMIZERS`.
        lr: The learning rate, above 0.
        momentum: From 0 to below 1, for sgd and rmsprop only; None for 0.
        nesterov: Nesterov's momentum, for sgd with a momentum only.
        weight_decay: At least 0.
        batch_size: Rows in a batch.
        epochs: Passes over the training rows at most.
        dropout: The share of hidden units dropped in training, from 0 to below 1.
        seed: Seed of the initial weights, the shuffling and the dropout.
        early_stopping: Epochs without improvement after which training stops; 0 to go on to the end.
        device: One of `DEVICES`; auto is cuda where there is one.

    Raises:
        BadParametersError: A value is impossible, alone or beside the others.
    """

    dataset: str | None = None
    data: Path | None = None
    target: str | None = None
    validation_fraction: float = 0.2
    split_seed: int = 0
    hidden: tuple[int, ...] = (64,)
    activation: str = "relu"
    optimizer: str = "adam"
    lr: float = 0.001
    momentum: float | None = None
    nesterov: bool = False
    weight_decay: float = 0.0
    batch_size: int = 32
    epochs: int = 20
    dropout: float = 0.0
    seed: int = 0
    early_stopping: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        self._check_data()
        self._check_choices()
        self._check_numbers()
        self._check_momentum()

    @property
    def dataset_name(self) -> str:
        """The built-in data set's name as `DATASETS` spells it."""
        return (self.dataset or DATASETS[0]).replace("_", "-")

    def _check_data(self) -> None:
        if self.data is None:
            _one_of("dataset", self.dataset_name, DATASETS)
            if self.target is not None:
                raise BadParametersError("names a column of a CSV file, and no data file is given", "target")
        elif self.dataset is not None:
            raise BadParametersError("cannot be combined with a data file; give one of the two", "dataset")
        elif self.data.suffix.lower() not in {".csv", ".npz"}:
            raise BadParametersError(f"{self.data} must be a .csv or an .npz file", "data")
        elif self.target is not None and self.data.suffix.lower() != ".csv":
            raise BadParametersError("names a column of a CSV file, and the data is an .npz file", "target")

    def _check_choices(self) -> None:
        _one_of("activation", self.activation, ACTIVATIONS)
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("device", self.device, DEVICES)

    def _check_numbers(self) -> None:
        if not 0 < self.validation_fraction < 1:
            raise BadParametersError(
                f"must be above 0 and below 1, not {self.validation_fraction}", "validation_fraction"
            )
        for width in self.hidden:
            if not 1 <= width <= _WIDEST:
                raise BadParametersError(f"must have widths from 1 to {_WIDEST}, not {width}", "hidden")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise BadParametersError(f"must be above 0 and finite, not {self.lr}", "lr")
        if not (self.weight_decay >= 0 and math.isfinite(self.weight_decay)):
            raise BadParametersError(f"must be at least 0 and finite, not {self.weight_decay}", "weight_decay")
        if not 0 <= self.dropout < 1:
            raise BadParametersError(f"must be at least 0 and below 1, not {self.dropout}", "dropout")
        _at_least("batch_size", self.batch_size, 1)
        _at_least("epochs", self.epochs, 1)
        _at_least("early_stopping", self.early_stopping, 0)
        _at_least("seed", self.seed, 0)
        _at_least("split_seed", self.split_seed, 0)
        if self.split_seed >= 2**32:
            raise BadParametersError(f"must be below 2**32, not {self.split_seed}", "split_seed")

    def _check_momentum(self) -> None:
        if self.momentum is not None:
            if self.optimizer not in _WITH_MOMENTUM:
                raise BadParametersError(
                    f"belongs to {' and '.join(_WITH_MOMENTUM)}; leave it out for {self.optimizer}",
                    "momentum",
                )
            if not 0 <= self.momentum < 1:
                raise BadParametersError(f"must be at least 0 and below 1, not {self.momentum}", "momentum")
        if self.nesterov and self.optimizer != "sgd":
            raise BadParametersError(f"belongs to sgd; leave it out for {self.optimizer}", "nesterov")
        if self.nesterov and not self.momentum:
            raise BadParametersError("needs a momentum above 0", "nesterov")


def _one_of(parameter: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadParametersError(f"must be one of {', '.join(choices)}, not {value}", parameter)


def _at_least(parameter: str, value: int, least: int) -> None:
    if value < least:
        raise BadParametersError(f"must be at least {least}, not {value}", parameter)
