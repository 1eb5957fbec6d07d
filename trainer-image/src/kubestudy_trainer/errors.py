"""The errors that end a trial with an exit code of their own."""

from typing import ClassVar

from kubestudy_trainer.reasons import Reason


class TrialError(Exception):
    """An error that names its reason; uncaught, it ends the process with that reason's exit code.

    Its text is one line that a person can act on, so no traceback is printed for it.
    """

    reason: ClassVar[Reason] = Reason.ERROR


class BadEnvironmentError(TrialError):
    """A variable of the process's environment cannot be understood."""

    reason = Reason.BAD_PARAMETERS


class BadParametersError(TrialError):
    """A parameter has a value with which the trial cannot run, however often it is tried.

    Args:
        text: What is wrong and what would be right.
        parameter: The parameter's name, where the text does not name it itself.
    """

    reason = Reason.BAD_PARAMETERS

    def __init__(self, text: str, parameter: str | None = None) -> None:
        super().__init__(text if parameter is None else f"{parameter}: {text}")
        self.text = text
        self.parameter = parameter


class NonFiniteMetricError(TrialError):
    """A metric became NaN or infinite."""

    reason = Reason.NON_FINITE_METRIC


def reason_for(error: BaseException) -> Reason:
    """The reason that an exception stands for.

    Args:
        error: Any exception.

    Returns:
        The error's own reason, `OutOfMemory` for a lack of memory, `Error` for anything else.
    """
    if isinstance(error, TrialError):
        return error.reason
    # torch's class is told by its name, so that a script without torch need not import it.
    names = {kind.__name__ for kind in type(error).__mro__}
    # On a CPU torch has no class of its own for it.
    if names & {"MemoryError", "OutOfMemoryError"} or "DefaultCPUAllocator: can't allocate" in str(error):
        return Reason.OUT_OF_MEMORY
    return Reason.ERROR


def describe(error: BaseException) -> str:
    """One line for an exception: its text, after its type where the text alone may not speak for itself.

    Args:
        error: Any exception.
    """
    text = " ".join(str(error).split())
    if isinstance(error, TrialError) and text:
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name
