"""The file from which an interrupted training run goes on, and the one that keeps the best model."""

import os
from pathlib import Path
from typing import Any

import torch

CHECKPOINT = "checkpoint.pt"
MODEL = "model.pt"


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a file so that, whenever the process is killed, the old or the new content is there whole.

    Args:
        path: The file; its directory must exist.
        content: Tensors, numbers, strings, lists and dictionaries.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        torch.save(content, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any] | None:
    """Read what `save` wrote.

    Args:
        path: The file.

    Returns:
        The content, its tensors on the CPU; None where there is no file, or none that can be read.
    """
    try:
        # weights_only: what comes from a volume may not run code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    # A damaged file raises whatever its damage leads to; there is one remedy for all, to begin anew.
    except Exception as error:
        print(f"the checkpoint {path} cannot be read and is ignored: {type(error).__name__}", flush=True)
        return None
    return content if isinstance(content, dict) else None
