"""Runs one trial of a ready model: `python -m kubestudy_trainer`, or `kubestudy-train`."""

import sys
import traceback
from pathlib import Path

from kubestudy_trainer.beale import beale
from kubestudy_trainer.environment import CHECKPOINT_DIR
from kubestudy_trainer.errors import BadParametersError, describe
from kubestudy_trainer.exit_codes import ExitCode
from kubestudy_trainer.options import PROGRAM, BealeRequest, MlpRequest, parse
from kubestudy_trainer.reasons import Reason
from kubestudy_trainer.threads import obey_omp_num_threads, wait_passively
from kubestudy_trainer.trial import Trial


def main(argv: list[str] | None = None) -> int:
    """Run one trial.

    Args:
        argv: The arguments after the program's name; None for those of this process.

    Returns:
        The process's exit code, one of `ExitCode`.
    """
    try:
        request = parse(sys.argv[1:] if argv is None else argv)
    except BadParametersError as error:
        return _refused(error)
    except SystemExit as exit_:
        # argparse has printed its help.
        return exit_.code if isinstance(exit_.code, int) else ExitCode.FINISHED
    return _run(request)


def _refused(error: BadParametersError) -> int:
    try:
        trial = Trial.current()
    except Exception as other:
        return _complain(other, ExitCode.BAD_PARAMETERS)
    return _complain(error, _failed_with(trial, error))


def _run(request: MlpRequest | BealeRequest) -> int:
    try:
        trial = Trial.current()
    except Exception as error:
        return _complain(error, ExitCode.BAD_PARAMETERS)
    try:
        if isinstance(request, BealeRequest):
            trial.finish(value=beale(request.x, request.y))
            return ExitCode.FINISHED
        return _train(trial, request)
    # The caller may have no hook for an uncaught exception, and shall have the exit code in any case.
    except Exception as error:
        return _complain(error, _failed_with(trial, error))


def _train(trial: Trial, request: MlpRequest) -> int:
    wait_passively()
    # Here and not above: importing torch takes seconds, which another model need not wait for.
    try:
        from kubestudy_trainer.training import Metrics, TrainingStopped, fit  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise BadParametersError(
            f"the model mlp needs {error.name}; pip install 'kubestudy-trainer[torch]' brings it"
        ) from None

    def report(epoch: int, metrics: Metrics) -> None:
        trial.report(epoch, **metrics)

    def restore(history: list[Metrics]) -> None:
        for epoch, metrics in enumerate(history, start=1):
            trial.restore({name: [(epoch, value)] for name, value in metrics.items()})

    obey_omp_num_threads()
    try:
        final = fit(
            request.config,
            on_epoch=report,
            directory=_checkpoint_dir(trial) if request.checkpoint else None,
            should_stop=lambda: trial.should_stop,
            on_resume=restore,
        )
    except TrainingStopped:
        trial.fail(Reason.TERMINATED, "stopped on SIGTERM; another run goes on from the checkpoint")
        return ExitCode.TERMINATED
    trial.finish(**final)
    return ExitCode.FINISHED


def _checkpoint_dir(trial: Trial) -> Path | None:
    """Return where checkpoints are kept; None, with a warning, where nothing can be written there."""
    try:
        return trial.checkpoint_dir
    except OSError as error:
        print(
            f"no checkpoints are kept: {error.filename} cannot be made ({error.strerror});"
            f" {CHECKPOINT_DIR} names another place",
            file=sys.stderr,
        )
        return None


def _failed_with(trial: Trial, error: Exception) -> ExitCode:
    if isinstance(error, BadParametersError):
        trial.fail(error.reason, _sentence(error))
        return error.reason.exit_code
    return trial.fail_with(error)


def _complain(error: Exception, code: ExitCode) -> int:
    if code in {ExitCode.ERROR, ExitCode.OUT_OF_MEMORY}:
        traceback.print_exception(error)
    else:
        print(f"{PROGRAM}: {_sentence(error)}", file=sys.stderr, flush=True)
    return code


def _sentence(error: Exception) -> str:
    """The error in one line, with a parameter named as its option."""
    if isinstance(error, BadParametersError) and error.parameter is not None:
        return f"--{error.parameter.replace('_', '-')} {' '.join(error.text.split())}"
    return describe(error)


if __name__ == "__main__":
    raise SystemExit(main())
