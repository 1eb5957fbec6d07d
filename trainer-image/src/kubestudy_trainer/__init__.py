"""Reports a training script's metrics to KubeStudy.

`Trial` is all that a script needs; nothing here imports torch. The ready trainer lives in
`kubestudy_trainer.__main__` (`python -m kubestudy_trainer --help`).
"""

from kubestudy_trainer.errors import BadEnvironmentError, BadParametersError, NonFiniteMetricError, TrialError
from kubestudy_trainer.exit_codes import ExitCode
from kubestudy_trainer.reasons import Reason
from kubestudy_trainer.trial import Trial

__all__ = [
    "BadEnvironmentError",
    "BadParametersError",
    "ExitCode",
    "NonFiniteMetricError",
    "Reason",
    "Trial",
    "TrialError",
]
__version__ = "0.1.0"
