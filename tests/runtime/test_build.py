from __future__ import annotations

import copy
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import asam
import asam_trt
from asam import division, export, starts
from asam.data import Manifest
from asam.division import Division
from asam.starts import Start
from asam_trt import BackendUnavailable, EngineError, fold
from asam_trt.bundle import EngineBundle, manifest_bytes, manifest_digest, read_manifest


@pytest.fixture(autouse=True)
def quick_export(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder and priors of the fixture `engine`, which were exported in earnest, serve every build here."""
    parts = json.loads((engine / "manifest.json").read_text())

    def export_parts(model: asam.ASAM, folder: Path) -> export.Parts:
        for file in (*engine.glob("image_*"), *engine.glob("prompt_*")):
            shutil.copy(file, folder)
        state = {name: value.numpy() for name, value in model.state_dict().items()}
        return export.Parts(state, parts["sampler"], parts["preprocessing"])

    monkeypatch.setattr(export, "export_parts", export_parts)


def no_engine_of(checkpoint: Path, problem: str) -> str:
    return f"^{re.escape(str(checkpoint))}: no engine can be made of it: {problem}"


def stamp(engine: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in engine.iterdir()}


@pytest.fixture
def built(checkpoint: Path, tmp_path: Path) -> Path:
    return asam_trt.build_engine(checkpoint, tmp_path / "a.asam", progress=False)


def test_an_unchanged_engine_is_kept_and_force_builds_it(checkpoint: Path, built: Path) -> None:
    before = stamp(built)
    assert asam_trt.build_engine(checkpoint, built, progress=False) == built
    assert stamp(built) == before
    asam_trt.build_engine(checkpoint, built, force=True, progress=False)
    assert all(stamp(built)[name] != before[name] for name in before)
    assert [p.name for p in built.parent.iterdir()] == [built.name]


def test_another_checkpoint_or_damage_means_building(
    model: asam.ASAM, checkpoint: Path, built: Path, tmp_path: Path
) -> None:
    (built / "sampler.safetensors").write_bytes(b"damaged")
    asam_trt.build_engine(checkpoint, built, progress=False)
    before = asam_trt.Session(built).engine.source
    changed = copy.deepcopy(model)
    changed.ensemble.data *= 1.5
    other = tmp_path / "other.safetensors"
    changed.save(other)
    asam_trt.build_engine(other, built, progress=False)
    assert asam_trt.Session(built).engine.source != before


def test_the_default_output_lies_beside_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    mine = tmp_path / "model.safetensors"
    mine.write_bytes(checkpoint.read_bytes())
    assert asam_trt.build_engine(mine, progress=False) == tmp_path / "model.asam"


def test_an_engine_does_not_tell_where_it_was_built(engine: Path, repository: Path) -> None:
    for file in engine.iterdir():
        data = file.read_bytes()
        for word in (str(repository), "stack_trace", "site-packages"):
            assert word.encode() not in data, file.name


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path) -> Path:
    """The checkpoint of a run on a data set that a file divides."""
    folder = tmp_path / "run"
    folder.mkdir()
    splits = Manifest("folder", "group", 0, {"train": ("a", "b"), "test": ("c",)})
    splits.save(tmp_path / "split5.json")
    source = {"data": "folder", "manifest": str(tmp_path / "split5.json"), "split_scheme": "group"}
    source["manifest_sha256"] = splits.sha256
    (folder / "config.json").write_text(json.dumps({"source": source}))
    (folder / "best.safetensors").write_bytes(checkpoint.read_bytes())
    return folder / "best.safetensors"


def test_an_engine_carries_the_division_of_its_run(run: Path, built: Path, tmp_path: Path) -> None:
    assert division.of_model(built) is None
    engine, manifest = (
        asam_trt.build_engine(run, tmp_path / "run.asam", progress=False),
        tmp_path / "split5.json",
    )
    splits = Manifest.load(manifest)
    assert EngineBundle.open(engine).source["division"] == {
        "data": "folder",
        "split_scheme": "group",
        "manifest": {"name": "split5.json", "sha256": splits.sha256, "certain": True},
    }
    shutil.move(engine, moved := tmp_path / "elsewhere.asam")
    shutil.rmtree(run.parent)
    manifest.unlink()
    assert division.of_model(moved) == Division("folder", "group", moved / "split.json")
    assert Manifest.load(moved / "split.json") == splits
    assert str(tmp_path) not in (moved / "manifest.json").read_text()

    (moved / "split.json").write_text((moved / "split.json").read_text().replace('"c"', '"d"'))
    with pytest.raises(EngineError, match=r"split\.json: expected sha256"):
        EngineBundle.open(moved)


@pytest.mark.parametrize(
    "found", ["none", "folder", {"data": 3}, {"data": "x", "split_scheme": "y", "manifest": None}]
)
def test_engines_open_that_say_nothing_of_a_division(run: Path, tmp_path: Path, found: object) -> None:
    engine = asam_trt.build_engine(run, tmp_path / "run.asam", progress=False)
    manifest = read_manifest(engine)
    if found == "none":  # as older versions built it
        del manifest["source"]["division"]
    else:
        manifest["source"]["division"] = found
    manifest["digest"] = manifest_digest(manifest)
    (engine / "manifest.json").write_bytes(manifest_bytes(manifest))
    asam_trt.Session(engine).close()
    assert division.of_model(engine) is None


def forget(run: Path, *names: str) -> None:
    """Take entries out of what the run says of its data, as one of an older version lacks them."""
    file = run.parent / "config.json"
    source = json.loads(file.read_text())["source"]
    file.write_text(json.dumps({"source": {k: v for k, v in source.items() if k not in names}}))


def test_another_division_means_building(run: Path, tmp_path: Path) -> None:
    forget(run, "manifest_sha256")
    engine = asam_trt.build_engine(run, tmp_path / "run.asam", progress=False)
    before = stamp(engine)
    asam_trt.build_engine(run, engine, progress=False)
    assert stamp(engine) == before
    Manifest("folder", "group", 0, {"train": ("a",), "test": ("b", "c")}).save(tmp_path / "split5.json")
    asam_trt.build_engine(run, engine, progress=False)
    assert Manifest.load(engine / "split.json").splits["train"] == ("a",)
    found = division.of_model(engine)
    assert found is not None
    assert not found.is_certain(), "an older run, whose file may have been another at the training"


def test_an_engine_has_the_run_s_own_copy_and_never_a_file_that_has_changed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = Manifest.load(tmp_path / "split5.json")
    Manifest("folder", "group", 0, {"train": ("c",), "test": ("a", "b")}).save(tmp_path / "split5.json")
    engine = asam_trt.build_engine(run, tmp_path / "run.asam")
    assert "split5.json has changed since the training" in " ".join(capsys.readouterr().err.split())
    assert not (engine / "split.json").exists()

    splits.save(run.parent / "split.json")
    asam_trt.build_engine(run, engine, progress=False)
    assert Manifest.load(engine / "split.json") == splits
    found = division.of_model(engine)
    assert found is not None
    assert found.is_certain()


@pytest.mark.parametrize("gone", ["manifest", "run"])
def test_an_engine_keeps_the_splits_that_it_knows_when_they_are_gone(
    gone: str, run: Path, tmp_path: Path
) -> None:
    file = run.parent / "config.json"
    file.write_text(
        json.dumps({"source": json.loads(file.read_text())["source"] | {"start": "base.safetensors"}})
    )
    starts.save([Start("base.safetensors", "folder", None, ("c",))], run.parent / "split-start.json")
    engine = asam_trt.build_engine(run, tmp_path / "run.asam", progress=False)
    splits, known = Manifest.load(engine / "split.json"), EngineBundle.open(engine).source["division"]
    assert starts.of_model(engine) == (Start("base.safetensors", "folder", None, ("c",)),)
    if gone == "manifest":
        (tmp_path / "split5.json").unlink()
    else:
        file.unlink()
    before = stamp(engine)
    asam_trt.build_engine(run, engine, progress=False)
    assert stamp(engine) == before
    asam_trt.build_engine(run, engine, force=True, progress=False)
    assert stamp(engine) != before
    assert Manifest.load(engine / "split.json") == splits
    assert EngineBundle.open(engine).source["division"] == known
    assert starts.of_model(engine) == (Start("base.safetensors", "folder", None, ("c",)),)

    other = tmp_path / "elsewhere" / "other.safetensors"  # of which the engine knows nothing
    other.parent.mkdir()
    model = asam.load_checkpoint(run)
    model.ensemble.data *= 1.5
    model.save(other)
    asam_trt.build_engine(other, engine, progress=False)
    assert not (engine / "split.json").exists()
    assert starts.of_model(engine) == ()


def test_splits_that_are_gone_are_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "split5.json").unlink()
    engine = asam_trt.build_engine(run, tmp_path / "run.asam")
    assert f"will not know the splits that its model was trained on: {tmp_path}" in capsys.readouterr().err
    found = division.of_model(engine)
    assert found is not None
    assert found.manifest is not None
    assert not found.manifest.exists()


def test_other_folders_are_not_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "photos"
    target.mkdir()
    (target / "dog.jpg").write_bytes(b"dog")
    for force in (False, True):
        with pytest.raises(EngineError, match="photos"):
            asam_trt.build_engine(checkpoint, target, force=force, progress=False)
    assert (target / "dog.jpg").read_bytes() == b"dog"


def test_an_engine_that_differs_from_pytorch_is_not_kept(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = fold.fold

    def wrong(*args: object, **kwargs: object) -> dict[str, np.ndarray]:
        weights = honest(*args, **kwargs)  # type: ignore[arg-type]
        weights["upscale.1.bias"] = weights["upscale.1.bias"] + np.float32(0.1)
        return weights

    monkeypatch.setattr(fold, "fold", wrong)
    with pytest.raises(EngineError, match=no_engine_of(checkpoint, r"expected logits .* of PyTorch's")):
        asam_trt.build_engine(checkpoint, tmp_path / "a.asam", progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "mask_decoder.transformer.final_attn_token_to_image.k_proj.weight",
            "sampler.safetensors: expected finite",
        ),
        ("mask_decoder.iou_token.weight", "expected finite logits"),
    ],
)
def test_weights_that_overflow_are_told_of_their_checkpoint(
    model: asam.ASAM, tmp_path: Path, name: str, problem: str, recwarn: pytest.WarningsRecorder
) -> None:
    huge = copy.deepcopy(model)
    huge.get_parameter(name).data.fill_(1e38)
    huge.save(tmp_path / "huge.safetensors")
    with pytest.raises(EngineError, match=no_engine_of(tmp_path / "huge.safetensors", problem)):
        asam_trt.build_engine(tmp_path / "huge.safetensors", progress=False)
    assert not [str(warning.message) for warning in recwarn if "overflow" in str(warning.message)]
    assert [path.name for path in tmp_path.iterdir()] == ["huge.safetensors"]


def test_backends_that_cannot_run_say_what_is_missing(checkpoint: Path, tmp_path: Path) -> None:
    for backend in ("cuda", "tensorrt"):
        with pytest.raises(BackendUnavailable, match=rf"{backend}.*pip install"):
            asam_trt.build_engine(checkpoint, tmp_path / "a.asam", backend=backend, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [{"backend": "npu"}, {"precision": "int3"}])
def test_unknown_options_are_refused(checkpoint: Path, tmp_path: Path, option: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"expected .* to be one of"):
        asam_trt.build_engine(checkpoint, tmp_path / "a.asam", progress=False, **option)  # type: ignore[arg-type]


def test_checkpoints_that_are_none(checkpoint: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(checkpoint.read_bytes()[:-100])
    for path in (cut, tmp_path / "nowhere.safetensors", tmp_path):
        with pytest.raises(ValueError, match="expected"):
            asam_trt.build_engine(path, tmp_path / "a.asam", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["cut.safetensors"]


def test_progress_is_shown_on_stderr(
    checkpoint: Path, engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asam_trt.build_engine(checkpoint, engine)
    out, err = capsys.readouterr()
    assert out == ""
    assert "unchanged" in err


def test_a_missing_package_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendUnavailable, match=r"needs torch.*pip install torch"):
        asam_trt.build_engine(checkpoint, tmp_path / "new.asam", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_paths_are_paths(checkpoint: Path) -> None:
    with pytest.raises(TypeError, match="checkpoint to be a path"):
        asam_trt.build_engine(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="output to be a path"):
        asam_trt.build_engine(checkpoint, "", progress=False)


@pytest.mark.parametrize("force", [False, True])
def test_what_somebody_put_into_an_engine_stays(checkpoint: Path, built: Path, force: bool) -> None:
    (built / "model.safetensors").write_bytes(checkpoint.read_bytes())
    (built / "manifest.json").write_text("{}")
    with pytest.raises(EngineError, match=r"came one with 'model\.safetensors' in it"):
        asam_trt.build_engine(built / "model.safetensors", built, force=force, progress=False)
    assert (built / "model.safetensors").read_bytes() == checkpoint.read_bytes()


def test_another_program_s_folder_stays(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"name": "web app"}')
    (folder / "data.txt").write_text("precious")
    with pytest.raises(EngineError, match=r"came one with 'data\.txt' in it"):
        asam_trt.build_engine(checkpoint, folder, progress=False)
    assert (folder / "data.txt").read_text() == "precious"
