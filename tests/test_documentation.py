"""The documentation's pages are built, and their links lead somewhere."""

import json
import re
import subprocess
import sys

import pytest

from workflow_project import ROOT

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ELSEWHERE = ("http:", "https:", "mailto:")


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert pages <= {page.stem for page in (tmp_path / "site").glob("*.html")}
    for page in (tmp_path / "site").glob("*.html"):  # nothing is loaded from elsewhere
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", page.read_text()), page


@pytest.mark.parametrize("name", ["README.md", "README.ja.md", "CONTRIBUTING.md", "config/README.md"])
def test_links_lead_to_files(name):
    """What is no page of the site: there, mkdocs looks."""
    folder = (ROOT / name).parent
    links = [link for link in LINK.findall((ROOT / name).read_text()) if not link.startswith(ELSEWHERE)]
    assert [link for link in links if not (folder / link).exists()] == []


def test_the_example_is_a_small_page_with_all_in_it():
    page = ROOT / "docs" / "example.html"
    about = json.loads(re.search('id="object">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])
    assert page.stat().st_size < 500_000 and about["field"] and about["source"] and about["rows"]
    assert about["files"] == [] and about["mesh"] is None
