"""The plugin as napari finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

npe2 = pytest.importorskip("npe2", reason="napari is not installed: pip install '.[napari]'")
pytest.importorskip("qtpy", reason="there is no Qt: pip install '.[napari]'", exc_type=ImportError)


def test_the_manifest_is_valid_and_its_command_is_the_panel(repository: Path) -> None:
    manifest = npe2.PluginManifest.from_file(repository / "asam_trt" / "napari" / "napari.yaml")
    manifest.validate_imports()
    (command,), (widget,) = manifest.contributions.commands, manifest.contributions.widgets
    assert widget.command == command.id
    from asam_trt.napari.panel import Panel

    module, _, name = str(command.python_name).partition(":")
    assert (module, name) == (Panel.__module__, Panel.__qualname__)


def test_the_entry_point_names_the_manifest(repository: Path) -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["napari.manifest"][project["name"]].partition(":")
    path = repository.joinpath(*module.split("."), name)
    assert npe2.PluginManifest.from_file(path).name == project["name"]
