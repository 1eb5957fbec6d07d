"""The documentation: a site without broken links, and references that are what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from enum import EnumType
from pathlib import Path

import pytest
import yaml

from kubestudy.api import reasons
from kubestudy.api.validation import validate
from kubestudy.search.search_checks import search_problems
from support.manifests import manifest
from support.scripts import module_at

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """A link, or an anchor, that leads nowhere is a warning, and so is a page that no menu names."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "katib" / "index.html").is_file()


def test_the_committed_references_are_the_generated_ones() -> None:
    module = module_at(DOCS / "make_reference.py")
    made = module.files()
    committed = {path: path.read_text() for path in {*module.FOLDER.glob("*.md"), *made}}
    assert committed == made, "run make chart docs and commit what they write"


@pytest.mark.parametrize("page", ["operator", "troubleshooting"])
def test_reasons_that_tables_name_are_ones_that_are_given(page: str) -> None:
    known = {word for kind in vars(reasons).values() if isinstance(kind, EnumType) for word in kind}
    rows = re.findall(r"^\| (.*?) \|", (DOCS / f"{page}.md").read_text(), flags=re.MULTILINE)
    assert [word for row in rows for word in re.findall(r"`([A-Z][A-Za-z]+)`", row) if word not in known] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "trainer-image/README.md"])
def test_links_between_files_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in link:
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_what_pages_show_as_yaml_is_yaml(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL):
        assert list(yaml.safe_load_all(block))


def test_the_study_of_promql_is_valid() -> None:
    """What the page leaves out of the spec is added; what it shows stays as it is."""
    (shown, *_) = re.findall(r"```yaml\n(.*?)```", (DOCS / "promql.md").read_text(), flags=re.DOTALL)
    _, problems = validate(manifest(**yaml.safe_load(shown)["spec"]), search_problems)
    assert problems == []
