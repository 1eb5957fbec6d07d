"""Runs a study in a journal and lists its trials, and looks at what was imported for it."""

import sys
import tempfile
from pathlib import Path

from kubestudy.search.history import History
from kubestudy.search.merged import ReadOnlyStorage
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete
from support.manifests import spec_of

hush_optuna()
with tempfile.TemporaryDirectory() as folder:
    storage = open_storage(Path(folder) / "journal.log", sole_writer=True)
    search = OptunaSearch(spec_of(), storage, "example", "it")
    search.ask()
    search.tell(0, Complete((1.0,), {}))
    assert len(History(ReadOnlyStorage(storage), "example", "it").trials()) == 1
heavy = {"sqlalchemy", "alembic", "plotly", "scipy", "torch"} & sys.modules.keys()
assert not heavy, heavy
