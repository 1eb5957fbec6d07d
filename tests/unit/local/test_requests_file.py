"""What commands ask of a study on this machine, kept beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kubestudy.local.folder import StudyFolder
from kubestudy.local.requests_file import NAME, Request, read_request, watch, write_request
from kubestudy.study.ports import StudyError
from support.manifests import study_of


def test_what_is_asked_for_goes_before_the_manifest() -> None:
    study = study_of()
    assert Request().applied_to(study) is study
    assert Request(suspend=True).applied_to(study).spec.suspend is True
    assert Request(suspend=False).applied_to(study_of(suspend=True)).spec.suspend is False
    assert Request(stop=True).applied_to(study).spec.stop is True


@pytest.mark.parametrize("request_", [Request(suspend=True), Request(suspend=False, stop=True), Request(stop=False)])
def test_it_is_kept_and_read_back(tmp_path: Path, request_: Request) -> None:
    folder = StudyFolder(tmp_path)
    write_request(folder, request_)
    assert read_request(folder) == request_
    write_request(folder, Request())
    assert read_request(folder) == Request()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"', '{"suspend": "yes", "stop": 1}', "\x00" * 9000])
def test_what_is_none_of_ours_asks_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_request(StudyFolder(tmp_path)) == Request()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"cannot write .*request\.json: No such file"):
        write_request(StudyFolder(tmp_path / "gone"), Request(stop=True))


def test_each_change_is_told_once(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    write_request(folder, Request(suspend=True))
    told: list[Request] = []
    changed = asyncio.Event()

    def on_change(request: Request) -> None:
        told.append(request)
        changed.set()

    async def look() -> None:
        watching = asyncio.create_task(watch(folder, on_change, 0.01))
        await asyncio.sleep(0.1)
        assert told == []  # that was asked for before
        for request in (Request(), Request(stop=True)):
            changed.clear()
            write_request(folder, request)
            await asyncio.wait_for(changed.wait(), 30)
        watching.cancel()

    asyncio.run(look())
    assert told == [Request(), Request(stop=True)]
