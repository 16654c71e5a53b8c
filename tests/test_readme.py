"""What the README and the pages show runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asam.cli import main


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/baselines.md",
        "docs/hypotheses.md",
        "docs/metrics.md",
        "docs/video.md",
        "docs/volumes.md",
    ],
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


@pytest.mark.parametrize(
    "document", ["README.md", "docs/data.md", "docs/napari.md", "docs/video.md", "docs/volumes.md"]
)
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


@pytest.mark.slow
def test_commands_for_data_of_ones_own_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they stand there, but for the number of steps."""
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        grey, name = np.full((96, 96), 40, np.uint8), f"case{number:02}"
        grey[50:74, 30 + number : 50 + number] = 200
        Path("mydata/masks", name).mkdir(parents=True)
        Path("mydata/images").mkdir(exist_ok=True)
        Image.fromarray(grey).save(f"mydata/images/{name}.png")
        for rater, mask in (("anna", grey > 100), ("bert", grey > 255), ("cleo", grey > 100)):
            if (rater, number) != ("cleo", 1):
                Image.fromarray(255 * mask.astype(np.uint8)).save(f"mydata/masks/{name}/{rater}.png")
    (commands,) = blocks(repository / "docs" / "data.md", "bash")
    for command in commands.replace("--config.steps 300", "--config.steps 2 --config.workers 0").splitlines():
        assert main(command.split()[1:]) == 0, capsys.readouterr().err
    assert Path("outputs/sample/case02/index.html").is_file()


def test_links_of_the_documents_lead_somewhere(repository: Path) -> None:
    documents = [repository / "README.md", *(repository / "docs").glob("*.md")]
    for document in documents:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
