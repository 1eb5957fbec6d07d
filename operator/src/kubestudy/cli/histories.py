"""The histories that an operator keeps: listed, and those of deleted studies purged.

Only in the operator's pod is it known which studies are gone: there the API server can be asked, about the very
namespaces whose studies the storage holds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kubestudy.cli.common import confirm
from kubestudy.cli.exits import Exit, refused
from kubestudy.cli.output import Format, emit, emit_csv, emit_table, note
from kubestudy.cli.words import age, size
from kubestudy.search.archive import Archive, Kept
from kubestudy.search.search import hush_optuna
from kubestudy.search.storage import place_in
from kubestudy.study.ports import StudyError
from kubestudy.study.view import timestamp


class Whereabouts(StrEnum):
    """Whether a history's study is still there."""

    THERE = "there"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Listed:
    """A history, and what is known of its study.

    Attributes:
        kept: What the storage holds.
        study: Whether its study is still there.
    """

    kept: Kept
    study: Whereabouts


def list_histories(storage: str, form: Format, *, gone: bool) -> Exit:
    """Print the histories of a storage.

    Args:
        storage: The folder or the URL.
        form: How to print them.
        gone: Whether only those of studies that were deleted.
    """
    try:
        found = _found(_archive(storage))
        if gone:
            found = _gone(found)
    except StudyError as error:
        return refused(error)
    if form is Format.TABLE:
        _table(found)
    elif form is Format.CSV:
        data = [_as_data(history) for history in found]
        emit_csv(_COLUMNS, [[each[column] for column in _COLUMNS] for each in data])
    else:
        emit([_as_data(history) for history in found], form)
    return Exit.COMPLETED


def purge_histories(storage: str, uids: Sequence[str], *, gone: bool, yes: bool) -> Exit:
    """Delete histories.

    Args:
        storage: The folder or the URL.
        uids: The uids of their studies.
        gone: Whether all of studies that were deleted, instead.
        yes: Whether not to ask.
    """
    try:
        archive = _archive(storage)
        found = _found(archive)
        chosen = _gone(found) if gone else _chosen(found, uids)
    except StudyError as error:
        return refused(error)
    if not chosen:
        note("no history of a deleted study is kept")
        return Exit.COMPLETED
    if not yes:
        _table(chosen)
    confirm(f"Delete {'this history' if len(chosen) == 1 else f'these {len(chosen)} histories'} for good", yes)
    for history in chosen:
        record = history.kept.record
        try:
            archive.delete(record)
        except StudyError as error:
            return refused(error)
        note(f"{record.namespace}/{record.name} ({record.uid}) purged")
    return Exit.COMPLETED


def _archive(storage: str) -> Archive:
    hush_optuna()
    place = place_in(storage)
    if not isinstance(place, str) and not place.is_dir():
        raise StudyError(f"there is no folder {storage}: --storage names an operator's folder of journals, or a URL")
    return Archive(place)


def _found(archive: Archive) -> list[Listed]:
    kept = archive.kept()
    there = _studies_there()
    return [Listed(each, _whereabouts(each, there)) for each in kept]


def _whereabouts(kept: Kept, there: _There | None) -> Whereabouts:
    if there is None or not there.covers(kept.record.namespace):
        return Whereabouts.UNKNOWN
    return Whereabouts.THERE if kept.record.uid in there.uids else Whereabouts.GONE


@dataclass(frozen=True, slots=True)
class _There:
    """The uids of the studies in some namespaces; in all if none is named."""

    uids: frozenset[str]
    namespaces: tuple[str, ...]

    def covers(self, namespace: str) -> bool:
        return not self.namespaces or namespace in self.namespaces


def _studies_there() -> _There | None:
    """Ask the API server which studies there are; None outside of a pod."""
    if os.environ.get("KUBECONFIG") or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    from kubestudy.cluster.api import ApiError, KubeApi
    from kubestudy.controller.listing import list_studies
    from kubestudy.controller.settings import Settings

    async def ask() -> list[dict[str, Any]]:
        api = await KubeApi.from_environment()
        try:
            return await list_studies(api, namespaces)
        finally:
            await api.close()

    namespaces = Settings().namespaces
    try:
        bodies = asyncio.run(ask())
    except ApiError as error:
        raise StudyError(f"which studies are still there cannot be asked: {error}") from error
    return _There(frozenset(body["metadata"]["uid"] for body in bodies), namespaces)


def _gone(found: Sequence[Listed]) -> list[Listed]:
    if found and all(history.study is Whereabouts.UNKNOWN for history in found):
        raise StudyError(
            "which studies were deleted is known in the operator's pod alone: kubectl study history does it there;"
            " or name uids"
        )
    return [history for history in found if history.study is Whereabouts.GONE]


def _chosen(found: Sequence[Listed], uids: Sequence[str]) -> list[Listed]:
    by_uid = {history.kept.record.uid: history for history in found}
    unknown = [uid for uid in uids if uid not in by_uid]
    if unknown:
        raise StudyError(f"no history of {', '.join(unknown)} is kept here: kubestudy history list shows all")
    chosen = [by_uid[uid] for uid in dict.fromkeys(uids)]
    there = [f"{h.kept.record.namespace}/{h.kept.record.name}" for h in chosen if h.study is Whereabouts.THERE]
    if there:
        raise StudyError(f"{', '.join(there)} is still there: delete the study first (kubectl study delete)")
    return chosen


_COLUMNS = ("namespace", "name", "uid", "policy", "study", "bytes", "written")


def _as_data(history: Listed) -> dict[str, Any]:
    record, kept = history.kept.record, history.kept
    return {
        "namespace": record.namespace,
        "name": record.name,
        "uid": record.uid,
        "policy": record.history,
        "study": history.study.value,
        "bytes": kept.size,
        "written": timestamp(kept.written),
    }


def _table(found: Sequence[Listed]) -> None:
    if not found:
        note("no such history is kept")
        return
    rows = []
    for history in found:
        record, kept = history.kept.record, history.kept
        cells = (record.namespace, record.name, record.uid, history.study.value)
        rows.append((*cells, size(kept.size), age(timestamp(kept.written))))
    emit_table(("NAMESPACE", "NAME", "UID", "STUDY", "SIZE", "WRITTEN"), rows)
