"""Damaged and hostile engine folders: an EngineError that names the file, before anything in it is used."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import asam_trt
from asam_trt import EngineError, bundle
from asam_trt.bundle import EngineBundle


@pytest.fixture
def folder(engine: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(engine, tmp_path / "copy.asam"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit the manifest and give it the digest of the edit, as somebody hostile would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    manifest["digest"] = bundle.manifest_digest(manifest)
    (folder / "manifest.json").write_bytes(bundle.manifest_bytes(manifest))


def rewrite_file(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and enter its new size and hash."""
    (folder / name).write_bytes(data)
    entry = {"bytes": len(data), "sha256": bundle.sha256_of(folder / name)}
    rewrite(folder, lambda m: m["files"].update({name: entry}))


def test_a_sound_engine_opens(engine: Path) -> None:
    found = EngineBundle.open(engine)
    assert found.sampler.side == found.preprocessing.side == 64
    assert found.bytes == sum(f.stat().st_size for f in engine.iterdir() if f.name != "manifest.json")
    assert found.parity["max_logit_difference"] <= found.parity["tolerance"]
    assert "torch" in found.built_by


def test_the_rewriting_of_these_tests_is_sound_itself(folder: Path) -> None:
    rewrite(folder, lambda m: m["source"].update(name="other"))
    rewrite_file(folder, "sampler.safetensors", (folder / "sampler.safetensors").read_bytes())
    assert EngineBundle.open(folder).source["name"] == "other"


def test_flipped_bits_are_found_wherever_they_are(folder: Path) -> None:
    rng = np.random.default_rng(0)
    files = sorted(folder.iterdir())
    for _ in range(60):
        file = files[rng.integers(len(files))]
        data = bytearray(file.read_bytes())
        place = int(rng.integers(len(data)))
        data[place] ^= 1 << int(rng.integers(8))
        keep = file.read_bytes()
        file.write_bytes(data)
        with pytest.raises(EngineError, match=file.name):
            EngineBundle.open(folder)
        file.write_bytes(keep)
    EngineBundle.open(folder)


def test_truncated_and_missing_files_are_named(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for file in sorted(folder.iterdir()):
        keep = file.read_bytes()
        for size in {0, 1, len(keep) - 1, *rng.integers(0, len(keep), 4).tolist()}:
            file.write_bytes(keep[:size])
            with pytest.raises(EngineError, match=file.name):
                EngineBundle.open(folder)
        file.unlink()
        with pytest.raises(EngineError, match=file.name):
            EngineBundle.open(folder)
        file.write_bytes(keep)


def test_swapped_files_are_found(folder: Path) -> None:
    a, b = folder / "image_encoder.onnx", folder / "prompt_prior.onnx"
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    with pytest.raises(EngineError, match=r"image_encoder\.onnx"):
        EngineBundle.open(folder)


def test_strangers_are_named_but_the_cache_may_stay(folder: Path) -> None:
    (folder / "tensorrt").mkdir()
    EngineBundle.open(folder)
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(EngineError, match=r"notes\.txt"):
        EngineBundle.open(folder)


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(folder / "sampler.safetensors", outside)
    os.symlink(outside, folder / "sampler.safetensors")
    with pytest.raises(EngineError, match=r"sampler\.safetensors.*symbolic link"):
        EngineBundle.open(folder)


def test_what_is_no_engine_folder(tmp_path: Path, checkpoint: Path) -> None:
    for path in (tmp_path / "nowhere.asam", checkpoint):
        with pytest.raises(EngineError, match="expected an engine folder"):
            EngineBundle.open(path)
    with pytest.raises(EngineError, match=r"manifest\.json"):
        EngineBundle.open(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"format": "other"}',
        b'{"format": "asam-engine"}',
        b'{"format": "asam-engine", "format_version": NaN}',
        b"[" * 100_000,
        b"9" * 100_000,
        b" " * (2 << 20),
    ],
    ids=lambda t: f"{t[:24]!r}x{len(t)}",
)
def test_manifests_that_are_none(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(EngineError, match=r"manifest\.json"):
        EngineBundle.open(folder)


HOSTILE: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("version", lambda m: m.update(format_version=1)),
    ("version as text", lambda m: m.update(format_version="2")),
    ("version True", lambda m: m.update(format_version=True)),
    ("unknown entry", lambda m: m.update(extra=1)),
    ("no files", lambda m: m.update(files={})),
    ("files a list", lambda m: m.update(files=[])),
    ("path traversal", lambda m: m["files"].update({"../../etc/passwd": m["files"]["sampler.safetensors"]})),
    ("absolute path", lambda m: m["files"].update({"/etc/passwd": m["files"]["sampler.safetensors"]})),
    ("hidden name", lambda m: m["files"].update({".x": m["files"]["sampler.safetensors"]})),
    ("itself", lambda m: m["files"].update({"manifest.json": m["files"]["sampler.safetensors"]})),
    ("negative size", lambda m: m["files"]["sampler.safetensors"].update(bytes=-1)),
    ("huge size", lambda m: m["files"]["sampler.safetensors"].update(bytes=1 << 60)),
    ("size as text", lambda m: m["files"]["sampler.safetensors"].update(bytes="7")),
    ("hash of nothing", lambda m: m["files"]["sampler.safetensors"].update(sha256="")),
    ("entry a number", lambda m: m["files"].update({"sampler.safetensors": 3})),
    ("side", lambda m: m["sampler"].update(side=1 << 40, grid=1 << 36)),
    ("channels 0", lambda m: m["sampler"].update(channels=0)),
    ("channels huge", lambda m: m["sampler"].update(channels=1 << 50)),
    ("depth as text", lambda m: m["sampler"].update(depth="2")),
    ("depth a float", lambda m: m["sampler"].update(depth=2.0)),
    ("sampler empty", lambda m: m.update(sampler={})),
    ("other side", lambda m: m["preprocessing"].update(side=128)),
    ("mean of two", lambda m: m["preprocessing"].update(mean=[0, 0])),
    ("mean as text", lambda m: m["preprocessing"].update(mean=["0", "0", "0"])),
    ("mean huge", lambda m: m["preprocessing"].update(mean=[1e300, 0, 0])),
    ("drawn by half", lambda m: m["preprocessing"].update(draws_prompts=0.5)),
    ("std of zero", lambda m: m["preprocessing"].update(std=[1, 0, 1])),
    ("std missing", lambda m: m["preprocessing"].pop("std")),
    ("source a list", lambda m: m.update(source=[])),
]


@pytest.mark.parametrize(("name", "change"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_hostile_manifests_with_a_fitting_digest(
    folder: Path, name: str, change: Callable[[dict[str, Any]], None]
) -> None:
    rewrite(folder, change)
    with pytest.raises(EngineError, match=r"manifest\.json: expected|config"):
        EngineBundle.open(folder)


@pytest.mark.parametrize("entry", ["source", "built_by", "parity", "preprocessing", "sampler"])
@pytest.mark.parametrize("value", ["1e999", "-1e999"])
def test_numbers_beyond_floating_point_with_a_fitting_digest(folder: Path, entry: str, value: str) -> None:
    file = folder / "manifest.json"
    rewrite(folder, lambda m: m[entry].update(extra="here"))
    text = file.read_text().replace('"here"', value)
    manifest = json.loads(text)
    file.write_text(text.replace(manifest["digest"], bundle.manifest_digest(manifest)))
    with pytest.raises(EngineError, match=r"manifest\.json"):
        EngineBundle.open(folder)


def edited_weights(folder: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    weights = load_file(folder / "sampler.safetensors")
    change(weights)
    rewrite_file(folder, "sampler.safetensors", save(weights))


WEIGHTS: list[tuple[str, Callable[[dict[str, np.ndarray]], Any]]] = [
    ("NaN", lambda w: w["pe"].__setitem__((0, 0), np.nan)),
    ("infinity", lambda w: w["prompt.no_mask"].__setitem__(0, np.inf)),
    ("float64", lambda w: w.update(pe=w["pe"].astype(np.float64))),
    ("a sampler tensor missing", lambda w: w.pop("pe")),
    ("a sampler tensor of another shape", lambda w: w.update(pe=w["pe"][1:].copy())),
    ("a prompt tensor missing", lambda w: w.pop("prompt.gaussian")),
    (
        "a prompt tensor of another shape",
        lambda w: w.update({"prompt.gaussian": w["prompt.gaussian"].T.copy()}),
    ),
]


@pytest.mark.parametrize(("name", "change"), WEIGHTS, ids=[name for name, _ in WEIGHTS])
def test_bad_weights_with_fitting_hashes(folder: Path, name: str, change: Callable[..., Any]) -> None:
    edited_weights(folder, change)
    with pytest.raises(EngineError, match=r"sampler\.safetensors"):
        asam_trt.Session(folder)


def test_a_safetensors_header_that_lies(folder: Path) -> None:
    header = json.dumps(
        {"pe": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 1 << 62]}}
    ).encode()
    rewrite_file(folder, "sampler.safetensors", struct.pack("<Q", len(header)) + header)
    with pytest.raises(EngineError, match=r"sampler\.safetensors"):
        asam_trt.Session(folder)


@pytest.mark.parametrize("file", ["sampler", "image_encoder", "image_prior", "prompt_prior"])
@pytest.mark.parametrize(
    ("dtype", "bits"),
    [("BF16", 16), ("F8_E4M3", 8), ("F8_E5M2", 8), ("F4", 4), ("F16", 16), ("I64", 64), ("X", 32)],
)
def test_tensors_of_types_that_numpy_lacks(folder: Path, file: str, dtype: str, bits: int) -> None:
    entry = {"dtype": dtype, "shape": [2], "data_offsets": [0, bits // 4]}
    header = json.dumps({"pe": entry}).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(bits // 4)
    rewrite_file(folder, f"{file}.safetensors", data)
    with pytest.raises(EngineError, match=rf"{file}\.safetensors: expected .*{dtype}"):
        asam_trt.Session(folder, encoder="native")


@pytest.mark.parametrize("name", ["image_encoder.onnx", "prompt_prior.onnx"])
def test_a_foreign_model_with_a_fitting_hash(folder: Path, name: str) -> None:
    rewrite_file(folder, name, b"no model")
    with pytest.raises(EngineError, match=name):
        asam_trt.Session(folder, encoder="onnxruntime")


def test_models_with_another_signature(folder: Path) -> None:
    encoder = (folder / "image_encoder.onnx").read_bytes()
    prior = (folder / "prompt_prior.onnx").read_bytes()
    rewrite_file(folder, "prompt_prior.onnx", encoder)
    with pytest.raises(EngineError, match=r"prompt_prior\.onnx: expected inputs"):
        asam_trt.Session(folder, encoder="onnxruntime")
    rewrite_file(folder, "prompt_prior.onnx", prior)
    rewrite(folder, lambda m: (m["sampler"].update(side=80, grid=5), m["preprocessing"].update(side=80)))
    with pytest.raises(
        EngineError, match=r"image_encoder\.onnx: expected input image of float32 \[1, 3, 80, 80\]"
    ):
        asam_trt.Session(folder, encoder="onnxruntime")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("3.weight", (4, 3, 2, 2)),
        ("1.weight", (3,)),
        ("4.bias", (5,)),
        ("6.weight", (64, 3, 1, 1)),
        ("0.bias", ()),
    ],
)
def test_tables_of_the_prompt_encoder_fit_together(folder: Path, name: str, shape: tuple[int, ...]) -> None:
    weights = load_file(folder / "sampler.safetensors")
    wrong = f"prompt.mask_downscaling.{name}"
    assert weights[wrong].shape != shape
    rewrite_file(folder, "sampler.safetensors", save({**weights, wrong: np.ones(shape, np.float32)}))
    with pytest.raises(EngineError, match=r"sampler\.safetensors: expected prompt\.mask_downscaling"):
        asam_trt.Session(folder)


@pytest.mark.parametrize("std", [1e-12, 1e5, -57.0, 0, 10**400])
def test_a_spread_that_no_image_has_is_refused(folder: Path, std: float) -> None:
    rewrite(folder, lambda m: m["preprocessing"].update(std=[std, 57.0, 57.0]))
    with pytest.raises(EngineError, match=r"preprocessing\.std of three numbers from 0\.01 to 10000"):
        EngineBundle.open(folder)
