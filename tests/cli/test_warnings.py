"""What a valid manifest most likely has by mistake is said by `validate` and by `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from support.study import ROOT, kubestudy, manifest, write

IN_VAIN = "unless the program reads it from its environment, the search for it is in vain"
SCRIPT = """\
import json, os
params = json.loads(os.environ["KUBESTUDY_TRIALS"])[0]["params"]
y = params["x"] ** 2 {more}
print(json.dumps({{"values": {{"y": y}}}}), file=open(os.environ["KUBESTUDY_TERMINATION_LOG"], "w"))
"""


def study(**spec: object) -> dict[str, Any]:
    z = {"name": "z", "type": "float", "low": 0.0, "high": 1.0}
    x = {"name": "x", "type": "float", "low": -1.0, "high": 1.0}
    return manifest(parameters=[x, z], budget={"maxTrials": 1}, container={"command": ["python", "train.py"]})


def test_a_parameter_that_the_script_never_names(tmp_path: Path) -> None:
    write(tmp_path, study())
    (tmp_path / "train.py").write_text(SCRIPT.format(more=""))
    warning = f"spec.parameters[1].name: z stands nowhere in command, args, env or train.py: {IN_VAIN}"
    done = kubestudy("validate", "study.yaml", cwd=tmp_path)
    assert (done.code, done.out) == (0, "study.yaml: valid\n")
    assert f"warning: study.yaml: {warning}" in done.err
    done = kubestudy("run", "study.yaml", cwd=tmp_path)
    assert done.code == 0
    assert f"warning: {warning}" in done.err
    (tmp_path / "train.py").write_text(SCRIPT.format(more='+ params["z"]'))
    assert "in vain" not in kubestudy("validate", "study.yaml", cwd=tmp_path).err
    assert "in vain" not in kubestudy("run", "study.yaml", "--restart", cwd=tmp_path).err


def test_a_module_and_a_script_by_option_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "train.py").write_text(SCRIPT.format(more='+ params["z"]'))
    for command in (["python", "-m", "package.train"], ["sh", "-c", "exec python package/train.py"],
                    ["launch", "--script=package/train.py"]):  # fmt: skip
        data = study()
        data["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"] = command
        done = kubestudy("validate", write(tmp_path, data), cwd=tmp_path)
        assert done.code == 0
        assert "in vain" not in done.err, command


def test_the_ready_trainer_without_an_argument_for_a_parameter_is_refused(tmp_path: Path) -> None:
    data = yaml.safe_load((ROOT / "examples" / "beale.yaml").read_text())
    data["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"].remove("--x=$(x)")
    for command in ("validate", "run"):
        done = kubestudy(command, write(tmp_path, data), cwd=tmp_path)
        assert done.code == 2
        assert "spec.parameters[0].name: x reaches nothing: the ready trainer reads only its arguments" in done.err


def test_a_script_that_is_not_here_is_said_to_be_not_looked_at(tmp_path: Path) -> None:
    where = "spec.jobTemplate.spec.template.spec.containers[0]"
    done = kubestudy("validate", write(tmp_path, study()), cwd=tmp_path)
    assert done.code == 0
    assert f"{where}: train.py is not on this machine, so whether it uses x or z was not looked at" in done.err
    assert "in vain" not in done.err


def test_choices_that_yaml_takes_for_booleans(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(manifest()).replace("type: float", "type: categorical").replace(
        "  - high: 1.0\n    low: -1.0", "  - choices: [yes, no]"
    ))  # fmt: skip
    done = kubestudy("validate", "study.yaml", cwd=tmp_path)
    assert done.code == 0, done.err
    assert 'a bare yes is the boolean true, and reaches the program so: write "yes" for the word' in done.err
