"""Which object a search belongs to: the small record that is kept with each search, and how it is read again.

Whoever can write to the storage can leave anything in a record's place, and a later release may know more of it. So a
record is read as what comes from outside: unknown fields are left alone, and what is none is told apart from one.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from kubestudy.study.ports import StudyError

log = logging.getLogger(__name__)

_MOST_SAID = 10_000
# Parts of a record become parts of file names and of Optuna's names.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True, slots=True)
class Record:
    """Which object a search belongs to.

    Attributes:
        namespace: The study's namespace.
        name: Its name.
        uid: Its uid.
        history: Retain or Delete: what is to become of it once the study is deleted.
        cluster: The cluster whose study it is, by the uid of its namespace kube-system; empty where that is not known.
        operator: The operator that wrote the record; empty where that is not known.
    """

    namespace: str
    name: str
    uid: str
    history: str
    cluster: str = ""
    operator: str = ""

    @property
    def study_name(self) -> str:
        """What Optuna knows the study by: readable, and never twice the same."""
        return f"{self.namespace}/{self.name}/{self.uid}"

    def is_of(self, cluster: str) -> bool:
        """Tell whether it is a study of a cluster's; where a record names none, nobody knows."""
        return self.cluster == cluster


@dataclass(frozen=True, slots=True)
class Kept:
    """A search that is kept, and how much there is of it.

    Attributes:
        record: Which object it belongs to.
        size: Bytes of its journal; None in a database.
        written: Unix time of the journal's last write; None in a database.
    """

    record: Record
    size: int | None = None
    written: float | None = None


class NoRecordError(ValueError):
    """What stands in a record's place is none; its text says why."""


def noted(record: Record, before: Any) -> dict[str, Any]:
    """Return a record in the form that is kept.

    Args:
        record: The record.
        before: What was kept until now, whatever it is: of a record, fields that are not known here stay as they are,
            and so do those that the new record leaves empty.
    """
    kept = dict(before) if isinstance(before, dict) else {}
    return kept | {name: value for name, value in asdict(record).items() if value or name not in kept}


def check_own(record: Record, kept: Record) -> None:
    """Refuse to delete the history of another cluster's study.

    Args:
        record: What is to be deleted.
        kept: What the storage says of it.

    Raises:
        StudyError: It is another cluster's.
    """
    if record.cluster and kept.cluster and record.cluster != kept.cluster:
        raise StudyError(
            f"the history of {kept.namespace}/{kept.name} ({kept.uid}) is another cluster's ({kept.cluster}) and stays:"
            " delete it there"
        )


def record_in(data: Any) -> Record:
    """Read a record.

    Args:
        data: What `noted` made, perhaps of a later release's record, or anything at all.

    Raises:
        NoRecordError: It is none.
    """
    if not isinstance(data, dict):
        raise NoRecordError("it holds no fields")
    known = {field.name: data[field.name] for field in fields(Record) if field.name in data}
    missing = [name for name in ("namespace", "name", "uid", "history") if name not in known]
    if missing:
        raise NoRecordError(f"it lacks {', '.join(missing)}")
    wrong = [name for name, value in known.items() if not isinstance(value, str)]
    wrong += [name for name in ("namespace", "name", "uid") if name not in wrong and not is_a_part(known[name])]
    if wrong:
        raise NoRecordError(f"its {', '.join(wrong)} cannot be a study's")
    return Record(**known)


def record_in_text(text: bytes) -> Record:
    """Read a record from a file's content.

    Raises:
        NoRecordError: It is none.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):  # not UTF-8 is a ValueError, too
        raise NoRecordError("it is no JSON" if text.strip() else "it is empty") from None
    return record_in(data)


def is_a_part(text: str) -> bool:
    """Tell whether a namespace, name or uid can be part of a file's name."""
    return _PART.fullmatch(text) is not None


class PassedOver:
    """What stood in a record's place and was none: passed over, and said once each."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def say(self, place: str, why: object) -> None:
        """Say once that something is passed over.

        Args:
            place: Where it stands.
            why: Why it is no record.
        """
        if (place, str(why)) in self._said:
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said.add((place, str(why)))
        log.warning("%s is no record of a study and is passed over: %s", place, why)
