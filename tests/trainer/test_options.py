"""The ready trainer's command line, through its real entry."""

import re

import pytest

from kubestudy_trainer.__main__ import main
from kubestudy_trainer.config import TrainConfig
from kubestudy_trainer.exit_codes import ExitCode
from kubestudy_trainer.options import BealeRequest, MlpRequest, parse

# Arguments, and what the one line must say.
BAD = [
    ("--lr=-1", "--lr must be above 0 and finite, not -1.0"),
    ("--lr=0", "--lr must be above 0"),
    ("--lr=nan", "--lr must be a finite number, not nan"),
    ("--lr inf", "--lr must be a finite number, not inf"),
    ("--lr=fast", "--lr must be a finite number, not fast"),
    ("--lr", "--lr expected one argument"),
    ("--momentum=1 --optimizer=sgd", "--momentum must be at least 0 and below 1, not 1.0"),
    ("--momentum=0.9 --optimizer=adam", "--momentum belongs to sgd and rmsprop; leave it out for adam"),
    ("--nesterov=true --optimizer=sgd", "--nesterov needs a momentum above 0"),
    ("--nesterov=true --optimizer=adam", "--nesterov belongs to sgd"),
    ("--nesterov=yes", "--nesterov must be true or false, not yes"),
    ("--dataset=cifar", "--dataset must be one of digits, breast-cancer, wine, not cifar"),
    ("--optimizer=lion", "--optimizer must be one of sgd, adam, adamw, nadam, rmsprop, not lion"),
    ("--activation=swish", "--activation must be one of relu, gelu, tanh, not swish"),
    ("--device=tpu", "--device must be one of auto, cpu, cuda, not tpu"),
    ("--model=cnn", "--model must be one of mlp, beale, not cnn"),
    ("--batch-size=0", "--batch-size must be at least 1, not 0"),
    ("--batch-size=1.5", "--batch-size must be an integer, not 1.5"),
    ("--epochs=0", "--epochs must be at least 1"),
    ("--epochs=1e999", "--epochs must be an integer"),
    ("--validation-fraction=1", "--validation-fraction must be above 0 and below 1, not 1.0"),
    ("--validation-fraction=0", "--validation-fraction must be above 0 and below 1, not 0.0"),
    ("--dropout=1", "--dropout must be at least 0 and below 1"),
    ("--weight-decay=-0.1", "--weight-decay must be at least 0"),
    ("--early-stopping=-1", "--early-stopping must be at least 0"),
    ("--seed=-1", "--seed must be at least 0"),
    ("--split-seed=4294967296", "--split-seed must be below 2**32"),
    ("--hidden=64,,8", "--hidden must be integers like 128,64, not 64,,8"),
    ("--hidden=64,0", "--hidden must have widths from 1 to"),
    ("--hidden=64 --width=3", "--hidden cannot be combined with width and layers"),
    ("--width=0", "--width must be at least 1"),
    ("--layers=-1", "--layers must be from 0 to 1000"),
    ("--data=rows.txt", "--data rows.txt must be a .csv or an .npz file"),
    ("--data=rows.csv --dataset=wine", "--dataset cannot be combined with a data file"),
    ("--target=class", "--target names a column of a CSV file, and no data file is given"),
    ("--data=rows.npz --target=class", "--target names a column of a CSV file, and the data is an .npz file"),
    ("--epoch=1", "--epoch is no option; --epochs is close"),
    ("--foo", "--foo is no option; --help lists them all"),
    ("stray", "the argument 'stray' belongs to no option"),
    ("--lr=$(lr)", "--lr holds $(lr) unexpanded"),
    ("--lr $(params.lr)", "--lr holds $(params.lr) unexpanded"),
    ("--x=1", "--x belongs to the model beale, and the model is mlp"),
    ("--model=beale --x=1", "--y is missing; the model beale needs x and y"),
    ("--model=beale --x=1 --y=2 --lr=1", "--lr belongs to the model mlp, and the model is beale"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[arguments for arguments, _ in BAD])
def test_bad_arguments_end_with_code_2_and_one_line(launcher, arguments, says):
    ended = launcher.main(*arguments.split(), KUBESTUDY_TRIALS='[{"number": 4, "params": {}}]').end()
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"kubestudy-train: {says}")
    assert ended.message["message"] == ended.stderr.removeprefix("kubestudy-train: ").rstrip("\n")
    assert (ended.message["reason"], ended.message["trial"]) == ("BadParameters", 4)


def test_a_malformed_environment_ends_with_code_2_and_one_line(launcher):
    ended = launcher.main("--model=beale", "--x=1", "--y=1", KUBESTUDY_TRIALS="x").end()
    assert ended.code == 2
    assert ended.stderr.startswith("kubestudy-train: KUBESTUDY_TRIALS is not JSON")
    assert ended.stderr.count("\n") == 1


def test_empty_options_count_as_not_given():
    assert parse(["--momentum=", "--optimizer", "", "--nesterov=", "--hidden=", ""]) == parse([])
    assert parse([]) == MlpRequest(TrainConfig(), checkpoint=True)


def test_values_in_the_spellings_of_environment_variables():
    arguments = (
        "--batch-size=32.0 --epochs 7 --nesterov=True --momentum=0.9 --optimizer=sgd --hidden=128,64 "
        "--checkpoint=false --dataset=breast_cancer"
    )
    request = parse(arguments.split())
    assert isinstance(request, MlpRequest)
    assert not request.checkpoint
    config = request.config
    assert (config.batch_size, config.epochs, config.nesterov, config.hidden) == (32, 7, True, (128, 64))
    assert config.dataset_name == "breast-cancer"


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [("--width=8", (8,)), ("--layers=2", (64, 64)), ("--width=8 --layers=3", (8, 8, 8)), ("--layers=0", ())],
)
def test_width_and_layers(arguments, hidden):
    request = parse(arguments.split())
    assert isinstance(request, MlpRequest)
    assert request.config.hidden == hidden


@pytest.mark.parametrize("x", ["-1.5", "-1e-05", "-.5", "2"])
def test_negative_numbers_need_no_equals_sign(x):
    assert parse(["--model", "beale", "--x", x, "--y", "1"]) == BealeRequest(float(x), 1.0)


def test_beale(launcher):
    ended = launcher.main("--model=beale", "--x=3", "--y=0.5", KUBESTUDY_OBJECTIVES="value").end()
    assert (ended.code, ended.stdout, ended.stderr) == (0, "result  value=0\n", "")
    assert ended.message["values"] == {"value": 0.0}


def test_beale_out_of_range_is_not_finite(launcher):
    ended = launcher.main("--model=beale", "--x=1e200", "--y=1e200").end()
    assert (ended.code, ended.message["reason"]) == (3, "NonFiniteMetric")
    assert ended.stderr.count("\n") == 1


def test_an_objective_that_the_model_does_not_report(launcher):
    ended = launcher.main("--model=beale", "--x=1", "--y=1", KUBESTUDY_OBJECTIVES="accuracy").end()
    assert (ended.code, ended.message["reason"]) == (1, "Error")
    assert "lacks accuracy, which the study names" in ended.message["message"]


def test_help_explains_every_option_and_the_exit_codes(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    options = re.findall(r"^  (--[a-z-]+) .*", text, re.MULTILINE)
    assert len(options) == 24
    described = re.split(r"^  (?=-)", text, flags=re.MULTILINE)
    for option in options:
        (block,) = (part for part in described if part.startswith(f"{option} "))
        assert re.search(r"\((default|required)", block), option
    for code in ExitCode:
        assert re.search(rf"^ +{int(code)}  {re.escape(code.meaning)}$", text, re.MULTILINE)
