"""What `kubectl study` does, command by command, once it is connected to a cluster."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kubestudy.cli.exits import Exit, refused
from kubestudy.cli.operator_state import absence, silence
from kubestudy.cli.output import Format, ObjectFormat, emit, note
from kubestudy.cli.remote import Remote, connected, service_of
from kubestudy.cli.study_output import print_studies, print_study, status_in
from kubestudy.cli.target import Target
from kubestudy.cluster.api import ApiError
from kubestudy.study.ports import StudyError
from kubestudy.study.view import LiveTrial

Act = Callable[[Remote], Coroutine[Any, Any, Exit]]

# An operator takes up a change within a second or two.
_TAKEN_UP_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_OVER = ("Complete", "Failed")


def do(target: Target, act: Act) -> Exit:
    """Connect to a cluster and act; what it refuses is said in one line.

    Returns:
        What the act came to.
    """

    async def connect() -> Exit:
        async with connected(target) as remote:
            return await act(remote)

    try:
        return asyncio.run(connect())
    except (ApiError, StudyError) as error:
        return refused(error)


def list_studies(form: Format, *, everywhere: bool) -> Act:
    """Print the studies of the namespace, or of all."""

    async def act(remote: Remote) -> Exit:
        bodies = await remote.studies(everywhere=everywhere)
        if not bodies and form is Format.TABLE:
            note("no studies in any namespace" if everywhere else f"no studies in namespace {remote.namespace}")
            return Exit.COMPLETED
        print_studies(bodies, form, everywhere=everywhere)
        await note_silence(remote, bodies)
        return Exit.COMPLETED

    return act


async def note_silence(remote: Remote, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Say that no operator is there; else, which studies none acts on."""
    now = datetime.now(UTC)
    lease = await remote.lease(next(filter(None, map(service_of, bodies)), None))
    said = absence(lease, now)
    if said is not None:
        note(f"{said}: studies are shown as it left them, and running trials go on")
        return
    for body in bodies:
        unheard = silence(body, lease, now)
        if unheard is not None:
            note(f"{body['metadata']['name']}: {unheard}")


def show_status(name: str, form: ObjectFormat | None) -> Act:
    """Print where a study is."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        if form is not None:
            emit(body, form)
            return Exit.COMPLETED
        lease = await remote.lease(service_of(body))
        unheard = silence(body, lease, datetime.now(UTC))
        more = {} if unheard is None else {"Operator": unheard}
        print_study(body, await _live_or_none(remote, body), await remote.events(body), more)
        return Exit.COMPLETED

    return act


async def _live_or_none(remote: Remote, body: Mapping[str, Any]) -> list[LiveTrial]:
    if status_in(body).phase in _OVER:
        return []
    try:
        return await remote.live(body)
    except (ApiError, StudyError):
        return []


def change(name: str, spec: Mapping[str, bool], done: str) -> Act:
    """Change what a study is to do, and see whether an operator takes it up.

    Args:
        name: The study.
        spec: Fields of its spec.
        done: What is said then, for instance "suspended".
    """

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        status = status_in(body)
        wanted = {key: value for key, value in spec.items() if bool(body["spec"].get(key)) != value}
        # An end that is not that of its newest spec may be none: a larger budget wakes a study.
        over = status.phase in _OVER and status.observed_generation == body["metadata"].get("generation")
        if not wanted or (over and True in wanted.values()):
            note(f"{name} is {status.phase}: nothing to do")
            return Exit.COMPLETED
        changed = await remote.change(name, wanted)
        if await _is_taken_up(remote, name, changed["metadata"]["generation"]):
            note(f"{name} {done}")
        else:
            said = absence(await remote.lease(service_of(body)), datetime.now(UTC))
            said = said or f"no operator has taken it up within {_TAKEN_UP_SECONDS:.0f} s"
            note(f"{name} is to be {done}, but {said} (kubectl study status {name} shows when that is done)")
        return Exit.COMPLETED

    return act


async def _is_taken_up(remote: Remote, name: str, generation: int) -> bool:
    deadline = time.monotonic() + _TAKEN_UP_SECONDS
    while time.monotonic() < deadline:
        body = await remote.look(name)
        if body is None or (status_in(body).observed_generation or 0) >= generation:
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    return False


def delete(name: str) -> Act:
    """Delete a study."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        await remote.delete(name)
        kept = body["spec"].get("historyPolicy", "Retain") == "Retain"
        stays = "; its history stays in the operator's storage (kubectl study history)" if kept else ""
        note(f"{name} deleted{stays}")
        return Exit.COMPLETED

    return act


def become_kubectl(arguments: Sequence[str], target: Target) -> Exit:
    """Run kubectl instead of this process; returns only where kubectl is not there."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return refused(StudyError("kubectl is not on the PATH, and it is what does this"))
    where = [("--context", target.context), ("--kubeconfig", target.kubeconfig)]
    chosen = [part for key, value in where if value for part in (key, value)]
    return os.execv(kubectl, ["kubectl", *chosen, *arguments])
