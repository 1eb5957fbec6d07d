"""The one-word reasons that a termination message gives for a trial without a result."""

from enum import StrEnum

from kubestudy_trainer.exit_codes import ExitCode


class Reason(StrEnum):
    """Why a trial ended without a usable result."""

    ERROR = "Error"
    BAD_PARAMETERS = "BadParameters"
    NON_FINITE_METRIC = "NonFiniteMetric"
    OUT_OF_MEMORY = "OutOfMemory"
    TERMINATED = "Terminated"
    NO_RESULT = "NoResult"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code that belongs to the reason."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Reason.ERROR: ExitCode.ERROR,
    Reason.BAD_PARAMETERS: ExitCode.BAD_PARAMETERS,
    Reason.NON_FINITE_METRIC: ExitCode.NON_FINITE_METRIC,
    Reason.OUT_OF_MEMORY: ExitCode.OUT_OF_MEMORY,
    Reason.TERMINATED: ExitCode.TERMINATED,
    Reason.NO_RESULT: ExitCode.ERROR,
}
