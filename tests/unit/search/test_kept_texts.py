"""What older releases kept of trials' words as they were is shown as what is said today: one printable line."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import TrialState, create_trial

from kubestudy.report.page import write_report
from kubestudy.search.attributes import ATTR_END
from kubestudy.search.history import History
from kubestudy.search.search import hush_optuna
from kubestudy.search.storage import open_storage
from support.manifests import study_of

SAID = {"state": "Failed", "reason": "\ud800\x1b[31m", "message": "a\nERROR forged \x1b]0;t\x07" + "x" * 5000}


def test_words_of_old_records_break_neither_lists_nor_reports(tmp_path: Path) -> None:
    hush_optuna()
    storage = open_storage(tmp_path / "journal.log")
    study = optuna.create_study(storage=storage, study_name="demo")
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={ATTR_END: SAID}))
    history = History(storage, "demo", "here")
    (record,) = history.trials()
    assert record.reason is not None
    assert record.reason.startswith("\ufffd: a ERROR forged x")
    assert record.reason.isprintable() and len(record.reason) < 1200
    write_report(study_of(), history, tmp_path / "report.html")
    assert "ERROR forged" in (tmp_path / "report.html").read_text(encoding="utf-8")
