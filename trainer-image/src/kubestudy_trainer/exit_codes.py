"""The exit codes by which a trial's process says how it ended."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a trial's process ended.

    The codes are part of the contract with whatever started the process: they decide whether another
    attempt can help.
    """

    FINISHED = 0
    ERROR = 1
    BAD_PARAMETERS = 2
    NON_FINITE_METRIC = 3
    OUT_OF_MEMORY = 4
    # 128 + SIGTERM, what a shell reports for a process that SIGTERM ended.
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """One phrase that says what the code stands for."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.FINISHED: "finished: the final values are reported",
    ExitCode.ERROR: "an error; another attempt may succeed",
    ExitCode.BAD_PARAMETERS: "bad parameters or environment; another attempt cannot mend it",
    ExitCode.NON_FINITE_METRIC: "a metric became NaN or infinite; another attempt would do the same",
    ExitCode.OUT_OF_MEMORY: "out of memory, the machine's or the accelerator's",
    ExitCode.TERMINATED: "stopped on SIGTERM with its state saved; another attempt goes on from there",
}
