"""The rows to learn from: scikit-learn's small data sets, CSV and NPZ files."""

import csv
import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from kubestudy_trainer.config import TrainConfig
from kubestudy_trainer.errors import BadParametersError

Floats = NDArray[np.float32]
Classes = NDArray[np.int64]

_BUILT_IN = {
    "digits": sklearn.datasets.load_digits,
    "breast-cancer": sklearn.datasets.load_breast_cancer,
    "wine": sklearn.datasets.load_wine,
}


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to train on and rows to validate on, standardised by the former.

    Attributes:
        train_x: Features, float32 of shape (training rows, features).
        train_y: Classes from 0, int64 of shape (training rows,).
        val_x: Features, float32 of shape (validation rows, features).
        val_y: Classes from 0, int64 of shape (validation rows,).
        classes: How many classes there are.
    """

    train_x: Floats
    train_y: Classes
    val_x: Floats
    val_y: Classes
    classes: int

    def fingerprint(self) -> str:
        """A digest that is the same exactly for the same rows."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train_x, self.train_y, self.val_x, self.val_y):
            digest.update(str(part.shape).encode())
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def load(config: TrainConfig) -> Split:
    """Read the rows that a configuration names, and split them.

    Args:
        config: Its data set or file, target column, validation fraction and split seed count.

    Raises:
        BadParametersError: The file cannot be read, or its content cannot be learnt from.
    """
    if config.data is None:
        features, classes = _built_in(config.dataset_name)
    elif config.data.suffix.lower() == ".csv":
        features, classes = _numbered(*_read_csv(config.data, config.target), config.data)
    else:
        features, classes = _numbered(*_read_npz(config.data), config.data)
    return _split(features, classes, config)


def preload() -> None:
    """Read and split every built-in data set once, for processes forked from this one to find it done."""
    for name in _BUILT_IN:
        _split(*_built_in(name), TrainConfig(dataset=name))


@cache
def _built_in(name: str) -> tuple[NDArray[np.float64], Classes]:
    features, classes = _BUILT_IN[name](return_X_y=True)
    return features, classes.astype(np.int64)


def _read_csv(path: Path, target: str | None) -> tuple[NDArray[np.float64], NDArray[Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            column = _target_column(header, target, path)
            rows: list[list[float]] = []
            labels: list[str] = []
            for row in lines:
                if row:
                    labels.append(_label(row, header, column, path, lines.line_num))
                    rows.append(_features(row, header, column, path, lines.line_num))
    except OSError as error:
        raise BadParametersError(f"{path} cannot be read: {error.strerror}", "data") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadParametersError(f"{path} is no CSV file in UTF-8: {error}", "data") from None
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(header) - 1), np.array(labels)


def _target_column(header: list[str], target: str | None, path: Path) -> int:
    if len(header) < 2:
        raise BadParametersError(f"{path} needs a header with at least one feature and the target", "data")
    if target is None:
        return len(header) - 1
    if target not in header:
        raise BadParametersError(f"{path} has no column {target}; it has {', '.join(header)}", "target")
    return header.index(target)


def _label(row: list[str], header: list[str], column: int, path: Path, line: int) -> str:
    if len(row) != len(header):
        raise BadParametersError(f"{path} has {len(row)} cells, not {len(header)}, in line {line}", "data")
    if not (label := row[column].strip()):
        raise BadParametersError(f"{path} has no class in line {line}", "data")
    return label


def _features(row: list[str], header: list[str], column: int, path: Path, line: int) -> list[float]:
    values = []
    for index, cell in enumerate(row):
        if index != column:
            try:
                values.append(float(cell))
            except ValueError:
                raise BadParametersError(
                    f"{path} has {cell!r} for {header[index]} in line {line}, which is no number", "data"
                ) from None
    return values


def _read_npz(path: Path) -> tuple[NDArray[np.float64], NDArray[Any]]:
    try:
        # Without pickle a data file cannot run code.
        with np.load(path, allow_pickle=False) as arrays:
            features, labels = arrays["X"], arrays["y"]
    except OSError as error:
        raise BadParametersError(f"{path} cannot be read: {error.strerror or error}", "data") from None
    except KeyError:
        raise BadParametersError(f"{path} must hold the arrays X and y", "data") from None
    except (
        ValueError,
        IndexError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        AttributeError,
        TypeError,
    ) as error:
        raise BadParametersError(f"{path} is no NPZ file of plain arrays: {error}", "data") from None
    if features.ndim < 2 or labels.ndim != 1 or len(features) != len(labels):
        raise BadParametersError(
            f"{path} has X of shape {features.shape} and y of shape {labels.shape}; it needs "
            "(rows, features) and (rows,)",
            "data",
        )
    if features.dtype.kind not in "fiub":
        raise BadParametersError(f"{path} has X of type {features.dtype}, which is not numeric", "data")
    return features.reshape(len(features), -1).astype(np.float64), labels


def _numbered(features: NDArray[np.float64], labels: NDArray[Any], path: Path) -> tuple[NDArray[np.float64], Classes]:
    """Number the classes from 0, in the order of their labels."""
    if not np.isfinite(features).all():
        raise BadParametersError(f"{path} has features that are NaN or infinite", "data")
    if _continuous(labels):
        raise BadParametersError(f"{path} has a target with fractions, and only classes can be learnt", "data")
    _, classes = np.unique(labels, return_inverse=True)
    return features, classes.astype(np.int64)


def _continuous(labels: NDArray[Any]) -> bool:
    try:
        numbers = labels.astype(np.float64)
    except ValueError:
        return False
    return bool((numbers != np.floor(numbers)).any())


def _split(features: NDArray[np.float64], classes: Classes, config: TrainConfig) -> Split:
    sizes = np.bincount(classes)
    if len(sizes) < 2 or sizes.min() < 2:
        raise BadParametersError(
            "must hold at least two classes with at least two rows each",
            "dataset" if config.data is None else "data",
        )
    try:
        train_x, val_x, train_y, val_y = train_test_split(
            features,
            classes,
            test_size=config.validation_fraction,
            random_state=config.split_seed,
            stratify=classes,
        )
    except ValueError as error:
        raise BadParametersError(
            f"{config.validation_fraction} does not split {len(classes)} rows, {len(sizes)} classes: {error}",
            "validation_fraction",
        ) from None
    mean = train_x.mean(axis=0)
    deviation = train_x.std(axis=0)
    # A feature that never varies tells nothing; it becomes 0 instead of 0/0.
    deviation[deviation == 0] = 1.0
    return Split(
        train_x=((train_x - mean) / deviation).astype(np.float32),
        train_y=train_y,
        val_x=((val_x - mean) / deviation).astype(np.float32),
        val_y=val_y,
        classes=len(sizes),
    )
