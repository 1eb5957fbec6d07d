"""Alerts and recording rules, by Prometheus' own promtool: what fires, and what does not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from support.cluster.tools import PROMETHEUS

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "charts" / "kubestudy" / "files"
RULES = FILES / "rules.yaml"
RUNBOOKS = "https://github.com/kubestudy/kubestudy/blob/main/docs/runbooks.md"
# Grafana takes rates over four scrapes of what its data source says, 15 s unless somebody set it.
GRAFANA_SECONDS = 15

pytestmark = pytest.mark.timeout(1800)  # the first time it builds Prometheus


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROMETHEUS.programs() / "promtool", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then() -> None:
    done = promtool("test", "rules", Path(__file__).with_name("rules_test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_runbook() -> None:
    pages = set(re.findall(r"^## (\S+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE))
    groups = yaml.safe_load(RULES.read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(alerts) == 9
    assert {rule["annotations"]["runbook_url"] for rule in alerts} == {f"{RUNBOOKS}#{page}" for page in pages}


def test_the_scrape_configuration_is_valid_and_often_enough_for_the_dashboards_rates() -> None:
    done = promtool("check", "config", "--syntax-only", FILES / "scrape.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    for job in yaml.safe_load((FILES / "scrape.yaml").read_text())["scrape_configs"]:
        assert int(job["scrape_interval"].removesuffix("s")) <= GRAFANA_SECONDS, job["job_name"]
