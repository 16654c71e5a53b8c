"""What the README and the pages show runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", ["README.md", "docs/baselines.md", "docs/hypotheses.md", "docs/metrics.md", "docs/video.md"]
)
def test_python_of_the_documents(repository: Path, tmp_path: Path, document: str) -> None:
    pytest.importorskip("skimage", reason="the README's photo comes with scikit-image")
    # SegGPT's weights are the user's.
    programs = [code for code in blocks(repository / document, "python") if "seggpt" not in code]
    assert programs
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", ["README.md", "docs/video.md"])
def test_commands_of_the_documents_exist(repository: Path, document: str) -> None:
    """Every `asam` command and every `make` target it names is one."""
    from asam.cli import _modules

    text = "\n".join(blocks(repository / document, "bash"))
    commands = set(re.findall(r"^(?:\S*/)?asam ([a-z-]+)", text, flags=re.MULTILINE))
    assert commands
    assert commands <= set(_modules())
    makefile = (repository / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z]+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_links_of_the_documents_lead_somewhere(repository: Path) -> None:
    documents = [repository / "README.md", *(repository / "docs").glob("*.md")]
    for document in documents:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
