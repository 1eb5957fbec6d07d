"""The ready trainer's command line."""

import argparse
import difflib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from kubestudy_trainer.config import ACTIVATIONS, DATASETS, DEVICES, OPTIMIZERS, TrainConfig
from kubestudy_trainer.errors import BadParametersError
from kubestudy_trainer.exit_codes import ExitCode

PROGRAM = "kubestudy-train"
MODELS = ("mlp", "beale")

_OPTION = re.compile(r"--[a-z-]+")
_NEGATIVE = re.compile(r"-[.0-9]")
_UNEXPANDED = re.compile(r"\$\([^()]*\)")
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(TrainConfig)}
_DEFAULT_WIDTH = 64
_DEFAULT_LAYERS = 1


@dataclass(frozen=True, slots=True)
class MlpRequest:
    """Train a multilayer perceptron.

    Attributes:
        config: The settings.
        checkpoint: Whether to keep checkpoints and the best model.
    """

    config: TrainConfig
    checkpoint: bool


@dataclass(frozen=True, slots=True)
class BealeRequest:
    """Compute Beale's function at a point.

    Attributes:
        x: First coordinate.
        y: Second coordinate.
    """

    x: float
    y: float


def parse(argv: Sequence[str]) -> MlpRequest | BealeRequest:
    """Understand the command line.

    Args:
        argv: The arguments after the program's name.

    Raises:
        BadParametersError: An argument is unknown or its value impossible.
        SystemExit: Help was asked for, and has been printed.
    """
    _reject_unexpanded(argv)
    parser = _build_parser()
    namespace, unknown = parser.parse_known_args(_joined(argv))
    for argument in unknown:
        # An empty one is what a variable without a value leaves of a whole argument.
        if argument:
            raise BadParametersError(_unknown(argument, parser))
    # An option without a value, as of a parameter that does not apply, counts as not given.
    given = {name: value for name, value in vars(namespace).items() if value is not None}
    model = given.pop("model", MODELS[0])
    if model not in MODELS:
        raise BadParametersError(f"must be one of {', '.join(MODELS)}, not {model}", "model")
    return _beale(given) if model == "beale" else _mlp(given)


def _beale(given: dict[str, Any]) -> BealeRequest:
    for name in given:
        if name not in {"x", "y"}:
            raise BadParametersError("belongs to the model mlp, and the model is beale", name)
    for name in ("x", "y"):
        if name not in given:
            raise BadParametersError("is missing; the model beale needs x and y", name)
    return BealeRequest(given["x"], given["y"])


def _mlp(given: dict[str, Any]) -> MlpRequest:
    for name in ("x", "y"):
        if name in given:
            raise BadParametersError("belongs to the model beale, and the model is mlp", name)
    checkpoint = given.pop("checkpoint", True)
    width, layers = given.pop("width", None), given.pop("layers", None)
    if width is not None or layers is not None:
        if "hidden" in given:
            raise BadParametersError("cannot be combined with width and layers; give one of them", "hidden")
        given["hidden"] = _repeated(
            _DEFAULT_WIDTH if width is None else width, _DEFAULT_LAYERS if layers is None else layers
        )
    return MlpRequest(TrainConfig(**given), checkpoint)


def _repeated(width: int, layers: int) -> tuple[int, ...]:
    if width < 1:
        raise BadParametersError(f"must be at least 1, not {width}", "width")
    if not 0 <= layers <= 1000:
        raise BadParametersError(f"must be from 0 to 1000, not {layers}", "layers")
    return (width,) * layers


def _joined(argv: Sequence[str]) -> list[str]:
    """The arguments with negative numbers tied to their options: argparse takes -1e-5 for an option."""
    joined: list[str] = []
    for argument in argv:
        if joined and _OPTION.fullmatch(joined[-1]) and _NEGATIVE.match(argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _reject_unexpanded(argv: Sequence[str]) -> None:
    for index, argument in enumerate(argv):
        if found := _UNEXPANDED.search(argument):
            option = argument.partition("=")[0]
            if not option.startswith("--"):
                option = argv[index - 1] if index else "an argument"
            raise BadParametersError(
                f"{option} holds {found[0]} unexpanded; no variable of that name is set, "
                "so correct the name or declare the parameter"
            )


def _unknown(argument: str, parser: argparse.ArgumentParser) -> str:
    option = argument.partition("=")[0]
    if not option.startswith("-"):
        return f"the argument {argument!r} belongs to no option"
    known = [name for action in parser._actions for name in action.option_strings]
    close = difflib.get_close_matches(option, known, n=1)
    return f"{option} is no option; " + (f"{close[0]} is close" if close else "--help lists them all")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadParametersError(re.sub(r"^argument (--\S+): ", r"\1 ", message))


def _build_parser() -> argparse.ArgumentParser:
    codes = "\n".join(f"  {int(code):3}  {code.meaning}" for code in ExitCode)
    parser = _Parser(
        prog=PROGRAM,
        description="Runs one trial of a ready model and reports its metrics. An option with an empty value "
        "(--momentum=) counts as not given.",
        epilog=f"exit codes:\n{codes}",
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    _add(parser, "model", _text, "NAME", f"{_either(MODELS)} (default mlp)")
    _add_beale(parser.add_argument_group("model beale: Beale's function at a point, reported as value"))
    _add_data(parser.add_argument_group("model mlp: data"))
    _add_training(parser.add_argument_group("model mlp: network and training"))
    return parser


def _add_beale(group: argparse._ArgumentGroup) -> None:
    _add(group, "x", _number, "NUMBER", "first coordinate; the minimum 0 is at x=3, y=0.5 (required)")
    _add(group, "y", _number, "NUMBER", "second coordinate (required)")


def _add_data(group: argparse._ArgumentGroup) -> None:
    _add(group, "dataset", _text, "NAME", f"{_either(DATASETS)} (default {DATASETS[0]})")
    _add(
        group,
        "data",
        Path,
        "FILE",
        "instead of a data set: a .csv file with a header, or an .npz file with the arrays X and y (default none)",
    )
    _add(group, "target", _text, "COLUMN", "the CSV column with the classes (default the last)")
    _add(
        group,
        "validation-fraction",
        _number,
        "SHARE",
        "share of the rows, between 0 and 1, held out for "
        f"validation, of each class alike (default {_DEFAULTS['validation_fraction']})",
    )
    _add(group, "split-seed", _integer, "SEED", f"seed of that split (default {_DEFAULTS['split_seed']})")


def _add_training(group: argparse._ArgumentGroup) -> None:
    _add(group, "hidden", _widths, "WIDTHS", "units of each hidden layer, as in 128,64 (default 64)")
    _add(
        group,
        "width",
        _integer,
        "UNITS",
        f"instead of --hidden: units of every layer (default {_DEFAULT_WIDTH})",
    )
    _add(
        group,
        "layers",
        _integer,
        "COUNT",
        f"instead of --hidden: number of hidden layers (default {_DEFAULT_LAYERS})",
    )
    _add(group, "activation", _text, "NAME", f"{_either(ACTIVATIONS)} (default {_DEFAULTS['activation']})")
    _add(group, "optimizer", _text, "NAME", f"{_either(OPTIMIZERS)} (default {_DEFAULTS['optimizer']})")
    _add(group, "lr", _number, "RATE", f"learning rate, above 0 (default {_DEFAULTS['lr']})")
    _add(group, "momentum", _number, "SHARE", "from 0 to below 1, for sgd and rmsprop only (default 0)")
    _add(group, "nesterov", _boolean, "true|false", "Nesterov's momentum, for sgd only (default false)")
    _add(group, "weight-decay", _number, "RATE", f"at least 0 (default {_DEFAULTS['weight_decay']:g})")
    _add(group, "batch-size", _integer, "ROWS", f"rows in a batch (default {_DEFAULTS['batch_size']})")
    _add(group, "epochs", _integer, "COUNT", f"passes over the data at most (default {_DEFAULTS['epochs']})")
    _add(
        group,
        "dropout",
        _number,
        "SHARE",
        f"share of hidden units dropped in training, from 0 to below 1 (default {_DEFAULTS['dropout']:g})",
    )
    _add(
        group,
        "seed",
        _integer,
        "SEED",
        f"seed of weights, shuffling and dropout (default {_DEFAULTS['seed']})",
    )
    _add(
        group,
        "early-stopping",
        _integer,
        "EPOCHS",
        "stop after so many epochs without a better "
        f"val_accuracy or, at the same one, val_loss; 0 for never (default {_DEFAULTS['early_stopping']})",
    )
    _add(
        group,
        "device",
        _text,
        "NAME",
        f"{_either(DEVICES)}; auto is cuda where there is one (default {_DEFAULTS['device']})",
    )
    _add(
        group,
        "checkpoint",
        _boolean,
        "true|false",
        "go on from checkpoint.pt in the checkpoint directory, "
        "and leave the best model there as model.pt (default true)",
    )


def _add(
    group: argparse._ActionsContainer, name: str, kind: Callable[[str], Any], metavar: str, description: str
) -> None:
    group.add_argument(f"--{name}", type=_optional(kind), metavar=metavar, help=description)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the epilog's lines apart, and leaves the options room for their words."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=100)


def _either(choices: tuple[str, ...]) -> str:
    return " or ".join((", ".join(choices[:-1]), choices[-1]))


def _optional(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter for which an empty text is None."""

    def converted(text: str) -> Any:
        text = text.strip()
        return convert(text) if text else None

    return converted


def _text(text: str) -> str:
    return text


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite number, not {text}")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # Searchers that know only floats send 32.0 for 32.
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"must be an integer, not {text}")
    return int(value)


def _boolean(text: str) -> bool:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
    raise argparse.ArgumentTypeError(f"must be true or false, not {text}")


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(_integer(width.strip()) for width in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be integers like 128,64, not {text}") from None
