"""The words by which programs tell conditions, events and failures apart, each with what it means.

docs/reference/reasons.md is generated from these.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """A study's conditions."""

    PROGRESSING = "Progressing"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    DEGRADED = "Degraded"
    CONTESTED = "Contested"


class Explained(StrEnum):
    """A word and the sentence that explains it; the enumeration's members are (word, sentence)."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Explained:
        """Make a member of its word and the sentence that explains it."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member


class Going(Explained):
    """Reasons of Progressing and Suspended: a study goes on, or stands still as it was told to."""

    STARTING = "Starting", "no trial was started yet"
    TRIALS_RUNNING = "TrialsRunning", "trials are being run"
    WAITING_FOR_ROOM = "WaitingForRoom", "trials wait until the cluster, a quota or a queue has room for them"
    SUSPENDED = "Suspended", "spec.suspend is true: running trials were stopped, and go on when it is false again"


class Ended(Explained):
    """Reasons of Complete and Failed: why a study ended, or is about to."""

    MAX_TRIALS = "MaxTrialsReached", "budget.maxTrials is used up"
    TARGET = "TargetReached", "a trial reached every objective's target"
    MAX_DURATION = "MaxDurationReached", "budget.maxDuration is used up"
    MAX_GPU_HOURS = "MaxGpuHoursReached", "budget.maxGpuHours is used up"
    PATIENCE = "PatienceExhausted", "budget.patience trials in a row brought no improvement"
    EXHAUSTED = "SearchSpaceExhausted", "every point of the grid was tried"
    STOP_REQUESTED = "StopRequested", "it was told to stop, by `spec.stop` or by a command"
    MAX_FAILED = "MaxFailedTrialsReached", "budget.maxFailedTrials trials failed"
    EVERY_TRIAL_FAILS = "EveryTrialFails", "the first ten trials all failed"
    SAME_FAILURE = (
        "SameFailure",
        (
            "three trials in a row failed with the same words for a fault that is no matter of parameters"
            " (BadParameters, CommandNotFound, NoResult, InvalidResult, MissingMetric)"
        ),
    )
    NOTHING_COMPLETED = "NoTrialCompleted", "the study ended and no trial has a final value"
    INVALID_SPEC = "InvalidSpec", "the spec is not valid; the message lists what is wrong"
    INVALID_TEMPLATE = "InvalidJobTemplate", "the API server refuses a Job made from jobTemplate"
    INVALID_EXPRESSION = "InvalidExpression", "an expression of the spec is refused, by Prometheus or before it is sent"
    NO_PROMETHEUS = "NoPrometheus", "the spec has promql expressions and the operator knows no Prometheus"


class Hindrance(Explained):
    """Reasons of Degraded: what somebody must mend, while it lasts."""

    NONE = "AsExpected", "nothing is in the way"
    CANNOT_START = "TrialsCannotStart", "trials fail to start, one after the other; they are tried one at a time"
    TRIAL_WAITING = "TrialWaiting", "a trial cannot start as it is: an image, a secret or a volume is missing"
    NEVER_FITS = "NeverFits", "no node of the cluster can ever hold a trial as it is requested"
    API_SERVER = "ApiServerUnavailable", "the API server does not answer"
    JOB_REFUSED = "JobRefused", "the API server refuses a trial's Job"
    PODS_REFUSED = "PodsRefused", "a trial's Job is not allowed to create its pod"
    JOB_BEING_DELETED = "JobBeingDeleted", "an older Job of a trial's name is not gone yet"
    JOB_OF_ANOTHER = (
        "JobOfAnother",
        (
            "a Job of a trial's name is there and is not this trial's: another operator runs the study, or the storage"
            " was set back; the trial waits until it is gone, and it is left alone"
        ),
    )
    CLAIM_MISSING = "ResourceClaimMissing", "a resource claim (template) that jobTemplate names is not there"
    METRICS = "MetricsUnavailable", "Prometheus does not answer, or what a trial serves as its metrics is too long"
    INVALID_SPEC = "InvalidSpec", "a changed spec is not valid; the study goes on by the old one"
    STORAGE = "StorageUnavailable", "the storage does not answer, or holds nothing of this study"
    SEARCH_STUCK = (
        "SearchStuck",
        (
            "a call to the study's search did not come back in time: its sampler's options are too costly, or the"
            " storage hangs; other studies go on"
        ),
    )
    QUARANTINED = (
        "Quarantined",
        (
            "the operator was killed while it worked on this study, which may be why; it is tried again by itself,"
            " after pauses that grow"
        ),
    )
    STALLED = "StudyStalled", "the study's loop has not turned for five minutes; the operator's log says more"
    INTERNAL = "InternalError", "an error of KubeStudy's own; the log says more"


class Contest(Explained):
    """Reasons of Contested: a second operator could look after a study, and writes this condition and nothing else."""

    OTHER_OPERATOR = "OtherOperator", "two operators watch the study's namespace, and one of them looks after the study"


class Failure(Explained):
    """Why a trial failed, or was interrupted, where its program has no word of its own for it."""

    ERROR = "Error", "its program ended with an exit code other than 0"
    BAD_PARAMETERS = "BadParameters", "its program refuses its arguments (exit code 2)"
    OUT_OF_MEMORY = "OutOfMemory", "the GPU's memory did not suffice (exit code 4)"
    COMMAND_NOT_FOUND = "CommandNotFound", "its command is not there or cannot be executed (exit code 126 or 127)"
    OOM_KILLED = "OOMKilled", "it used more memory than its limit allows"
    DEADLINE = "DeadlineExceeded", "it ran longer than activeDeadlineSeconds"
    START_TIMEOUT = "StartTimeout", "it did not start within trialStartTimeout after it got its node"
    START_ERROR = "StartError", "its container could not be started"
    CANNOT_RUN = "ContainerCannotRun", "its container could not be run"
    NO_RESULT = "NoResult", "it ended without a result"
    INVALID_RESULT = "InvalidResult", "its result cannot be read"
    MISSING_METRIC = "MissingMetric", "its result lacks a metric that the study names"
    NON_FINITE_METRIC = "NonFiniteMetric", "a metric became NaN or infinite (exit code 3)"
    INTERRUPTED_TOO_OFTEN = "InterruptedTooOften", "it was interrupted more than twenty times"
    KILLED = "Killed", "it was killed, most likely for want of memory (on one machine)"
    NOT_STARTED = "NotStarted", "its process could not be started (on one machine)"
    EXPRESSION_REFUSED = "ExpressionRefused", "an expression over it is refused, by Prometheus or before it is sent"
    MANY_VALUES = "ManyValues", "an expression over it has several values"
    NOTHING_MEASURED = "NothingMeasured", "an expression over it has no value"
    NO_WINDOW = "NoWindow", "when it ran is not known, so no expression can be evaluated over it"
    MEASUREMENT_FAILED = "MeasurementFailed", "Prometheus' answer about it cannot be read"
    # Interruptions: it runs again.
    JOB_DELETED = "JobDeleted", "its Job was deleted by somebody; it runs again"
    POD_DELETED = "PodDeleted", "its pod was deleted by somebody; it runs again"
    DISRUPTED = "Disrupted", "its pod was preempted, evicted or lost with its node; it runs again"
    STOPPED = "Stopped", "it was told to stop; it runs again unless the study ended"
    GONE = "Gone", "it ended unobserved; it runs again"


class Told(Explained):
    """Reasons of events, beside those above: events tell when a study ends, is suspended, or something is in its way.

    TrialStopped and TrialRequeued are told on the terminal and in the log only.
    """

    STARTED = "Started", "the study begins"
    TAKEN_OVER = "TakenOver", "another operator looked after the study, which it does no more; this one goes on with it"
    RESUMED = "Resumed", "the study goes on after a restart or a suspension"
    NEW_BEST = "NewBest", "a trial is better than all before it"
    TRIAL_FAILED = "TrialFailed", "a trial failed"
    TRIAL_PRUNED = "TrialPruned", "a trial was stopped early as hopeless"
    TRIAL_STOPPED = "TrialStopped", "a trial was stopped because the study ended"
    TRIAL_REQUEUED = "TrialRequeued", "a trial was interrupted and runs again"
    NOTHING_TO_PRUNE_BY = "NothingToPruneBy", "trials report the objective only at their end, so none can be pruned"
