"""The names by which a study and its trials know each other; once chosen, they stay.

The trainer's library holds the same names (`kubestudy_trainer.environment`); a test keeps the two equal.
"""

from __future__ import annotations

LABEL_STUDY = "kubestudy.dev/study"
LABEL_STUDY_UID = "kubestudy.dev/study-uid"
LABEL_TRIAL = "kubestudy.dev/trial"
# On a Job: the identity of the storage that its trial is recorded in.
ANNOTATION_STORAGE = "kubestudy.dev/storage"

ENV_TRIALS = "KUBESTUDY_TRIALS"
ENV_STUDY = "KUBESTUDY_STUDY"
ENV_OBJECTIVES = "KUBESTUDY_OBJECTIVES"
ENV_METRICS_PORT = "KUBESTUDY_METRICS_PORT"
ENV_METRICS_ADDRESS = "KUBESTUDY_METRICS_ADDRESS"
ENV_TERMINATION_LOG = "KUBESTUDY_TERMINATION_LOG"
ENV_CHECKPOINT_DIR = "KUBESTUDY_CHECKPOINT_DIR"
SYSTEM_ENV = (
    ENV_TRIALS, ENV_STUDY, ENV_OBJECTIVES, ENV_METRICS_PORT,
    ENV_METRICS_ADDRESS, ENV_TERMINATION_LOG, ENV_CHECKPOINT_DIR,
)  # fmt: skip

METRIC_NAME = "kubestudy_trial_metric"
METRIC_STEP = "kubestudy_trial_step"

# Where a caller of the operator's history port puts its token: the API server's proxy passes it on, unlike a login.
TOKEN_HEADER = "X-KubeStudy-Token"  # noqa: S105  (a header's name)
# Where `kubectl study` has it from.
HISTORY_TOKEN_VARIABLE = "KUBESTUDY_HISTORY_TOKEN"  # noqa: S105  (a variable's name)

# What a promql expression may name, as $(study).
PROMQL_VARIABLES = frozenset({"study", "trial", "job", "pods", "namespace", "start", "end", "window"})

# How busy a GPU is, in percent: what NVIDIA's DCGM exporter calls it.
DCGM_UTILIZATION = "DCGM_FI_DEV_GPU_UTIL"

EXIT_BAD_PARAMETERS = 2
EXIT_NON_FINITE = 3
EXIT_OUT_OF_MEMORY = 4
# A retry with the same parameters ends the same way.
EXITS_NOT_RETRIED = frozenset({EXIT_BAD_PARAMETERS, EXIT_NON_FINITE, EXIT_OUT_OF_MEMORY})
EXIT_STOPPED = 143
# A shell's codes for what cannot be executed and what cannot be found.
EXITS_NO_COMMAND = frozenset({126, 127})


def history_path(namespace: str, name: str, uid: str) -> str:
    """Return the path of a study's history on the operator's history port; whoever may read the study knows its uid."""
    return f"/studies/{namespace}/{name}/{uid}/history"


def live_path(namespace: str, name: str, uid: str) -> str:
    """Return the path of a study's living trials there."""
    return f"/studies/{namespace}/{name}/{uid}/trials"
