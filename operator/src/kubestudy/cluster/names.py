"""Names and labels of what a study owns. Pure.

A name holds a hash of the study's uid: two studies of one name in two namespaces, or one that was deleted and created
again, never share a name.
"""

from __future__ import annotations

import hashlib

from kubestudy.api import contract

# A Job's name becomes a label's value and its pods' host name, which hold 63 characters.
MAX_LENGTH = 63
_NUMBER_LENGTH = 7
_HASH_LENGTH = 8


def job_name(study: str, uid: str, number: int) -> str:
    """Return the name of a trial's Job.

    Args:
        study: The study's name.
        uid: The study's uid.
        number: The trial's number.
    """
    return f"{job_prefix(study, uid)}{number}"


def job_prefix(study: str, uid: str) -> str:
    """Return what the names of a study's Jobs begin with, up to the trial's number."""
    suffix = f"-{_digest(uid)}-"
    stem = study.replace(".", "-")[: MAX_LENGTH - _NUMBER_LENGTH - len(suffix)].rstrip("-")
    return f"{stem}{suffix}"


def labels(study: str, uid: str, number: int) -> dict[str, str]:
    """Return the labels of a trial's Job and pods."""
    return {
        contract.LABEL_STUDY: label_value(study),
        contract.LABEL_STUDY_UID: uid,
        contract.LABEL_TRIAL: str(number),
    }


def label_value(study: str) -> str:
    """Return a study's name as a label's value: a long one is cut, and told apart by a hash."""
    if len(study) <= MAX_LENGTH:
        return study
    return f"{study[: MAX_LENGTH - _HASH_LENGTH - 1].rstrip('-.')}-{_digest(study)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
