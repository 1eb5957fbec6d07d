"""What holds for all tests."""

from __future__ import annotations

import os
import sys

# Compiled modules are kept, here and in the processes that tests start: without them each of these compiles Optuna,
# Plotly and scikit-learn anew, which takes it seconds. Containers of tests find PyTorch's beside its sources.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
