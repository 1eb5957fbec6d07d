"""The trials of a cluster's study: their history, by the operator or from its database, and how those that live go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from kubestudy.api.contract import HISTORY_TOKEN_VARIABLE, history_path
from kubestudy.cli.operator_state import silence
from kubestudy.cli.remote import Remote, service_of
from kubestudy.cli.study_output import status_in, why
from kubestudy.cluster.api import ApiError, NotFoundError
from kubestudy.search.archive import Record
from kubestudy.search.history import History, TrialRecord
from kubestudy.search.passwords import masked
from kubestudy.search.search import hush_optuna
from kubestudy.search.storage import open_storage, place_in, storage_of
from kubestudy.study.ports import StudyError
from kubestudy.study.trial import TrialPhase
from kubestudy.study.view import LiveTrial


async def history_of(remote: Remote, body: Mapping[str, Any], storage: str | None) -> History:
    """Open a study's history.

    Args:
        remote: Where the study is.
        body: The study.
        storage: The database it is in, where that can be reached; else the operator is asked.

    Raises:
        StudyError: It cannot be had; the sentence says what is missing.
    """
    hush_optuna()
    metadata = body["metadata"]
    name = Record(metadata["namespace"], metadata["name"], metadata["uid"], "").study_name
    if storage is not None:
        if not isinstance(place_in(storage), str):
            raise StudyError(f"{storage} is no database URL; left out, the operator is asked")
        return History(open_storage(storage), name, masked(storage))
    where = "that the operator serves"
    return History(storage_of(await _journal(remote, body), where), name, where)


async def _journal(remote: Remote, body: Mapping[str, Any]) -> bytes:
    """Return a study's history as an Optuna journal, by the operator."""
    metadata, service = body["metadata"], service_of(body)
    if service is None:
        raise await _no_service(remote, body)
    try:
        return await remote.ask(service, history_path(metadata["namespace"], metadata["name"], metadata["uid"]))
    except NotFoundError as error:
        # The API server's own answer has a reason, the operator's is a plain text.
        raise (_no_operator(service, error) if error.reason else _nothing_kept(body)) from error
    except ApiError as error:
        if error.status == HTTPStatus.UNAUTHORIZED and not error.reason:  # the operator's own answer
            raise StudyError(
                f"the operator wants its token: set {HISTORY_TOKEN_VARIABLE} to what its administrator has in the file"
                " of KUBESTUDY_HISTORY_TOKEN_FILE; or name the storage with --storage"
            ) from error
        if error.status != HTTPStatus.FORBIDDEN:
            raise _no_operator(service, error) from error
        raise StudyError(
            f"the operator's history endpoint cannot be asked ({error}). It is reached through the API server:"
            f" get on services/proxy of {service} is needed (the role kubestudy-history); or name the storage with"
            " --storage"
        ) from error


async def _no_service(remote: Remote, body: Mapping[str, Any]) -> StudyError:
    name = body["metadata"]["name"]
    unheard = silence(body, await remote.lease(), datetime.now(UTC))
    return StudyError(
        f"the status of {name} names no historyService: "
        + (unheard or "does an operator with --service (KUBESTUDY_SERVICE) look after it?")
        + "; or name the storage with --storage"
    )


def _no_operator(service: str, error: ApiError) -> StudyError:
    return StudyError(
        f"no operator is answering at the Service {service} ({error}): its history is kept, and is served once an"
        " operator runs again; what a study came to is in its status (kubectl study status), and where the storage is a"
        " database it can be read with --storage"
    )


def _nothing_kept(body: Mapping[str, Any]) -> StudyError:
    name, status = body["metadata"]["name"], status_in(body)
    if status.trials.total == 0:
        return StudyError(f"{name} has no trials yet ({': '.join(filter(None, (status.phase, why(status))))})")
    return StudyError(
        f"the operator's storage holds nothing of {name} any more (was it kept in the pod alone?);"
        " what the study came to is in its status: kubectl study status"
    )


def best_in(body: Mapping[str, Any]) -> list[TrialRecord]:
    """Return the best trial, or the head of the Pareto front, as the study's status has it."""
    status = status_in(body)
    found = [status.best] if status.best is not None else status.pareto_front or []
    return [TrialRecord(trial.number, "Complete", trial.values, trial.params) for trial in found]


async def living(remote: Remote, body: Mapping[str, Any]) -> list[LiveTrial] | None:
    """Return a study's living trials, by the operator or else by their Jobs; None where neither can be seen."""
    try:
        return await remote.live(body)
    except (ApiError, StudyError):
        pass
    try:
        jobs = await remote.jobs(body)
    except ApiError:
        return None
    ready = [number for number, job in jobs.items() if (job.get("status") or {}).get("ready")]
    return [LiveTrial(number, TrialPhase.RUNNING, None, {}) for number in ready]
