"""From a file to the studies in it, or to every problem of them at once."""

from __future__ import annotations

from pathlib import Path

from kubestudy.api.checks.registry import Checks
from kubestudy.api.limits import MANIFEST_BYTES
from kubestudy.api.problems import ManifestError, Problem
from kubestudy.api.study import KIND, HyperparameterStudy
from kubestudy.api.validation import validate
from kubestudy.api.yaml_text import documents


def read_text(path: Path) -> str:
    """Read a manifest's file, of an endless one no more than its beginning.

    Raises:
        ManifestError: It cannot be read, or is no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            return file.read(MANIFEST_BYTES.value + 1).decode()
    except FileNotFoundError as error:
        raise ManifestError(str(path), [Problem("", "there is no such file")]) from error
    except UnicodeDecodeError as error:
        raise ManifestError(str(path), [Problem("", f"is no UTF-8 text (byte {error.start})")]) from error
    except OSError as error:
        raise ManifestError(str(path), [Problem("", f"cannot be read: {error.strerror}")]) from error


def load_all(path: Path, also: Checks | None = None) -> list[HyperparameterStudy]:
    """Read and validate every study of a file; documents of other kinds are passed over.

    Args:
        path: The file.
        also: Further checks of each study's spec.

    Raises:
        ManifestError: With every problem of every study in it, or when there is no study in it.
    """
    source = str(path)
    found = documents(read_text(path), source)
    # A document alone is taken for a study whatever it calls itself: a misspelt kind gets its own sentence.
    studies = [d for d in found if len(found) == 1 or not (isinstance(d, dict) and d.get("kind", KIND) != KIND)]
    if not studies:
        raise ManifestError(source, [Problem("", f"holds no {KIND}")])
    valid, problems = [], []
    for i, document in enumerate(studies):
        study, wrong = validate(document, also)
        if len(studies) > 1:
            wrong = [Problem(problem.path, f"{problem.sentence} (study {i + 1} of the file)") for problem in wrong]
        problems += wrong
        if study is not None:
            valid.append(study)
    if problems:
        raise ManifestError(source, problems)
    return valid


def load(path: Path, also: Checks | None = None) -> HyperparameterStudy:
    """Read and validate the one study of a file.

    Args:
        path: The file.
        also: Further checks of its spec.

    Raises:
        ManifestError: There is none or more than one, or it is not valid.
    """
    studies = load_all(path, also)
    if len(studies) > 1:
        names = ", ".join(study.metadata.name for study in studies)
        raise ManifestError(str(path), [Problem("", f"holds {len(studies)} studies ({names}): run one at a time")])
    return studies[0]
