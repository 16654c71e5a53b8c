"""Engines of plain SAM checkpoints and of models without latents: SAM's own masks, and those of jittered prompts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from plain_sams import predicted, registry_state, small_sam
from segment_anything.modeling import Sam

import asam
import asam_trt
from asam.cli import main
from asam.data import Synthetic
from asam.methods import Engine
from asam.model import CheckpointError
from asam.model.config import BACKBONES, TinyViTSizes
from asam.plain_sam import PlainSam, is_sam
from asam.prompts import PERTURBATIONS, BoxPerturbation
from asam.studies.calibration import calibrate
from asam_trt import EngineError, bundle
from asam_trt.geometry import Frame
from asam_trt.jitter import JITTERS, Jitter
from asam_trt.noise import latent_noise
from asam_trt.prompt import Prompt

BOX = (20.0, 12.0, 60.0, 44.0)
POINTS: dict[str, Any] = {"point_coords": [[30.0, 20.0], [70.0, 10.0]], "point_labels": [1, 0]}
LATENT = 32


def of_kind(kind: str) -> dict[str, Any]:
    """A prompt for a side of 64."""
    mask = np.random.default_rng(1).normal(size=(16, 16)).astype(np.float32)
    prompts: dict[str, dict[str, Any]] = {
        "box": {"box": BOX},
        "points": POINTS,
        "mixed": {"box": BOX, **POINTS, "mask_input": mask},
        "mask": {"box": BOX, "mask_input": mask},
        "none": {},
    }
    return prompts[kind]


@pytest.fixture(scope="module")
def sam() -> Sam:
    return small_sam(64)


@pytest.fixture(scope="module")
def sam_file(sam: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sam") / "sam_nano.pth"
    torch.save(sam.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def sam_engine(sam_file: Path) -> Path:
    return asam_trt.build_engine(sam_file, progress=False)


@pytest.fixture
def sam_session(sam_engine: Path, image: np.ndarray) -> asam_trt.Session:
    session = asam_trt.Session(sam_engine, precision="float32")
    session.set_image(image)
    return session


@pytest.fixture(scope="module")
def single_engine(sam_file: Path, sam_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of SAM's single mask, built by the command where an engine of the three was."""
    target = Path(shutil.copytree(sam_engine, tmp_path_factory.mktemp("single") / "sam.asam"))
    assert main(["build", str(sam_file), "--output", str(target), "--masks", "single"]) == 0
    return target


@pytest.fixture
def single_session(single_engine: Path, image: np.ndarray) -> asam_trt.Session:
    session = asam_trt.Session(single_engine, precision="float32")
    session.set_image(image)
    return session


@pytest.mark.parametrize("kind", ["box", "points", "mixed", "mask", "none"])
def test_the_first_three_are_the_predictor_s_masks(
    sam: Sam, sam_session: asam_trt.Session, image: np.ndarray, kind: str
) -> None:
    prompt = of_kind(kind)
    masks, logits, scores = predicted(sam, image, **prompt)
    found = sam_session.sample(**prompt, n=3)
    assert logits.std() > 0.05
    assert np.abs(logits[0] - logits[1]).max() > 0.1
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-4)
    assert np.mean(found.masks != masks) < 1e-3


def test_the_others_are_its_masks_of_jittered_prompts(
    sam: Sam, sam_session: asam_trt.Session, image: np.ndarray
) -> None:
    n = 8
    prompt: dict[str, Any] = {"box": np.array(BOX), **{k: np.array(v) for k, v in POINTS.items()}}
    found = sam_session.sample(**prompt, n=n, seed=7)
    noise = latent_noise(n=n, latent=LATENT, seed=7)
    asked = JITTERS["shift"].prompts(Prompt(**prompt), noise, Frame.of(image.shape[0], image.shape[1], 64), 3)
    assert len(asked) == 3
    assert asked[0].box is prompt["box"]
    for j, one in enumerate(asked):
        _, logits, scores = predicted(
            sam, image, box=one.box, point_coords=one.point_coords, point_labels=one.point_labels
        )
        own = slice(3 * j, min(3 * j + 3, n))
        np.testing.assert_allclose(found.logits[own], logits[: own.stop - own.start], rtol=0, atol=1e-4)
        np.testing.assert_allclose(found.scores[own], scores[: own.stop - own.start], rtol=0, atol=1e-4)
    assert np.abs(found.logits[3] - found.logits[0]).max() > 1e-3


@pytest.mark.parametrize("kind", ["box", "points", "mixed", "mask", "none"])
def test_a_single_mask_is_the_predictor_s(
    sam: Sam, single_session: asam_trt.Session, image: np.ndarray, kind: str
) -> None:
    prompt = of_kind(kind)
    masks, logits, scores = predicted(sam, image, multimask=False, **prompt)
    found = single_session.sample(**prompt, n=1)
    assert logits.std() > 0.05
    assert np.abs(logits - predicted(sam, image, **prompt)[1]).max(axis=(1, 2)).min() > 0.1
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-5)
    assert np.mean(found.masks != masks) < 1e-3


def test_the_others_are_single_masks_of_jittered_prompts(
    sam: Sam, single_session: asam_trt.Session, image: np.ndarray
) -> None:
    found = single_session.sample(box=BOX, n=4, seed=7)
    noise = latent_noise(n=4, latent=LATENT, seed=7)
    asked = JITTERS["shift"].prompts(Prompt(box=np.array(BOX)), noise, found.frame, 1)
    expected = [predicted(sam, image, multimask=False, box=one.box)[1:] for one in asked]
    np.testing.assert_allclose(found.logits, [logits[0] for logits, _ in expected], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.scores, [scores[0] for _, scores in expected], rtol=0, atol=1e-5)
    assert np.abs(found.logits[1:] - found.logits[0]).max(axis=(1, 2)).min() > 1e-3
    assert len(single_session.sample(n=1)) == 1
    with pytest.raises(ValueError, match="box or points, or n of at most 1"):
        single_session.sample(n=2)


def test_the_reference_of_a_single_mask(
    sam_file: Path, single_session: asam_trt.Session, image: np.ndarray
) -> None:
    found = single_session.sample(box=BOX, n=4, seed=3)
    expected = PlainSam.read(sam_file, masks="single").sample(image, box=BOX, n=4, seed=3)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["int16", "int8"])
def test_a_single_mask_in_integers(
    single_engine: Path, single_session: asam_trt.Session, image: np.ndarray, precision: str
) -> None:
    """The heads of the other mask tokens have weights of zero."""
    try:
        session = asam_trt.Session(single_engine, precision=precision)
    except asam_trt.BackendUnavailable as error:
        pytest.skip(str(error))
    session.set_image(image)
    logits = session.sample(box=BOX, n=1).logits
    exact = single_session.sample(box=BOX, n=1).logits
    np.testing.assert_allclose(logits, exact, rtol=0, atol=0.05 * np.abs(exact).max())


def test_a_single_mask_is_said_and_kept(sam_file: Path, single_engine: Path) -> None:
    with asam_trt.Session(single_engine) as session:
        assert "plain SAM: its single mask of the prompt, then of prompts moved by" in repr(session)
        assert Engine(session).name.startswith("SAM, engine (")
        with pytest.raises(ValueError, match=r"calibration: expected an engine with latents.*single mask"):
            calibrate(session, Synthetic("pair", length=1, size=64))
    manifest = json.loads((single_engine / "manifest.json").read_text())
    assert manifest["source"]["masks"] == "single"
    assert manifest["source"]["readings"].startswith("plain SAM: its single mask of the prompt")
    built = (single_engine / "manifest.json").stat().st_mtime_ns
    assert main(["build", str(sam_file), "--output", str(single_engine), "--masks", "single"]) == 0
    assert (single_engine / "manifest.json").stat().st_mtime_ns == built


@pytest.mark.slow
def test_vit_b_of_the_registry_is_read(tmp_path: Path) -> None:
    """segment_anything's own state dict, at 128 pixels to spare the time of 1024."""
    torch.save(registry_state(), tmp_path / "sam_vit_b.pth")
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    model = PlainSam.read(tmp_path / "sam_vit_b.pth", image_size=128)
    network = model.network
    assert (network.config.backbone, network.config.mask_tokens) == ("vit_b", 3)
    resized = Sam(network.image_encoder, network.prompt_encoder, network.mask_decoder)
    _, logits, scores = predicted(resized, image, box=BOX)
    found = model.sample(image, box=BOX, n=3)
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-4 * max(1.0, np.abs(logits).max()))
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_mobile_sam_from_its_file_to_its_masks(mobile_sam: Path, image: np.ndarray, tmp_path: Path) -> None:
    target = tmp_path / "mobile.asam"
    assert main(["build", str(mobile_sam), "--output", str(target), "--image-size", "64"]) == 0
    network = PlainSam.read(mobile_sam, image_size=64).network
    network.image_encoder.img_size = 64  # which the predictor asks for
    theirs = Sam(
        network.image_encoder, network.prompt_encoder, network.mask_decoder
    )  # scales pixels as SAM does
    with asam_trt.Session(target, precision="float32") as session:
        session.set_image(image)
        for prompt in ({"box": BOX}, POINTS):
            masks, logits, scores = predicted(theirs, image, **prompt)
            found = session.sample(**prompt, n=3)
            assert np.abs(logits[0] - logits[1]).max() > 0.1
            assert np.abs(logits - predicted(theirs, image[::-1].copy(), **prompt)[1]).max() > 0.1
            np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-4)
            np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-4)
            assert np.mean(found.masks != masks) < 1e-3


def test_lite_medsam_from_its_file_to_its_mask(
    image: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_vit_file: Callable[[str, Path], Path],
    small_tiny_vit: TinyViTSizes,
) -> None:
    """In the sizes of `nano`: cells of 4 pixels, pixels in [0, 1] and the single mask, without being asked for."""
    lite = BACKBONES["lite_medsam"]
    small = replace(BACKBONES["nano"], encoder=replace(small_tiny_vit, cell=4))
    monkeypatch.setitem(BACKBONES, "lite_medsam", replace(small, pixels=lite.pixels, masks=lite.masks))
    file, target = tiny_vit_file("lite_medsam", tmp_path / "lite_medsam.pth"), tmp_path / "lite.asam"
    words = ["build", str(file), "--output", str(target), "--image-size", "48"]
    assert main(words) == 0
    built = (target / "manifest.json").stat().st_mtime_ns
    assert main([*words, "--pixels", "unit", "--masks", "single"]) == 0
    assert (target / "manifest.json").stat().st_mtime_ns == built, "the same engine, kept"

    network = PlainSam.read(file, image_size=48, masks="multi").network
    network.image_encoder.img_size = 48
    theirs = Sam(network.image_encoder, network.prompt_encoder, network.mask_decoder, [0.0] * 3, [255.0] * 3)
    mask = np.random.default_rng(1).normal(size=(48, 48)).astype(np.float32)
    with asam_trt.Session(target, precision="float32") as session:
        session.set_image(image)
        for prompt in ({"box": BOX}, POINTS, {"box": BOX, "mask_input": mask}):
            masks, logits, scores = predicted(theirs, image, multimask=False, **prompt)
            found = session.sample(**prompt, n=1)
            assert found.logits.shape == (1, 48, 48)
            assert np.abs(logits).max() > 0.1
            np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-4)
            np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-4)
            assert np.mean(found.masks != masks) < 1e-3


def test_unit_pixels_reach_the_engine(
    sam: Sam, sam_file: Path, sam_engine: Path, image: np.ndarray, tmp_path: Path
) -> None:
    # Scaled as SAM does it: another engine has to take its place.
    target = Path(shutil.copytree(sam_engine, tmp_path / "sam.asam"))
    words = ["build", str(sam_file), "--output", str(target), "--pixels", "unit"]
    assert main(words) == 0
    built = (target / "manifest.json").stat().st_mtime_ns
    unit = Sam(sam.image_encoder, sam.prompt_encoder, sam.mask_decoder, [0.0] * 3, [255.0] * 3)
    _, logits, scores = predicted(unit, image, box=BOX)
    with asam_trt.Session(target, precision="float32") as session:
        session.set_image(image)
        found = session.sample(box=BOX, n=3)
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-4)
    assert np.abs(logits - predicted(sam, image, box=BOX)[1]).max() > 0.01

    assert main(words) == 0
    assert (target / "manifest.json").stat().st_mtime_ns == built


def test_defaults_that_are_spelled_out_are_the_same_engine(
    sam_file: Path,
    sam_engine: Path,
    engine: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match="pixels='sam' for a plain SAM alone"):
        asam_trt.build_engine(checkpoint, shutil.copytree(engine, tmp_path / "nano.asam"), pixels="sam")

    def read(*_: Any) -> None:
        raise ValueError("it would be built again")

    monkeypatch.setattr("asam_trt.build._read", read)
    target = Path(shutil.copytree(sam_engine, tmp_path / "sam.asam"))
    words = ["build", str(sam_file), "--output", str(target)]

    def rewrite(**options: Any) -> None:
        manifest = bundle.read_manifest(target)
        manifest["source"] |= options
        manifest["digest"] = bundle.manifest_digest(manifest)
        (target / "manifest.json").write_bytes(bundle.manifest_bytes(manifest))

    assert main([*words, "--masks", "multi"]) == 0
    assert main([*words, "--pixels", "sam", "--jitter", "shift", "--image-size", "64"]) == 0
    for option in (["--masks", "single"], ["--pixels", "unit"], ["--jitter", "both"], ["--image-size", "48"]):
        assert main([*words, *option]) == 2
    rewrite(masks="multi", jitter="shift")
    assert main(words) == 0
    rewrite(image_size=64)  # which need not be the checkpoint's own
    assert main([*words, "--image-size", "64"]) == 0
    assert main(words) == 2


def test_seeds_temperature_and_prefixes(sam_session: asam_trt.Session) -> None:
    sixteen = sam_session.sample(box=BOX, n=16, seed=1)
    np.testing.assert_array_equal(sam_session.sample(box=BOX, n=7, seed=1).logits, sixteen.logits[:7])
    other = sam_session.sample(box=BOX, n=16, seed=2)
    np.testing.assert_array_equal(other.logits[:3], sixteen.logits[:3])
    assert all(np.any(other.logits[i] != sixteen.logits[i]) for i in range(3, 16))
    still = sam_session.sample(box=BOX, n=9, seed=1, temperature=0)
    np.testing.assert_array_equal(still.logits[3:6], still.logits[:3])
    noise = latent_noise(n=16, latent=LATENT, seed=1)
    np.testing.assert_array_equal(sam_session.sample(box=BOX, eps=noise).logits, sixteen.logits)
    several = sam_session.sample(boxes=[BOX, (5, 5, 30, 30)], n=16, seed=1)
    np.testing.assert_array_equal(several[0].logits, sixteen.logits)


def test_what_cannot_be_moved_has_no_more_readings(sam_session: asam_trt.Session) -> None:
    assert len(sam_session.sample(n=3)) == 3
    with pytest.raises(ValueError, match="box or points, or n of at most 3"):
        sam_session.sample(n=4)


@pytest.mark.parametrize("command", ["sample", "video"])
def test_a_forgotten_prompt_is_refused_before_it_is_told(
    command: str, sam_engine: Path, image: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image).save(tmp_path / "photo.png")
    words = [command, str(tmp_path / "photo.png"), "--engine", str(sam_engine)]
    words += ["--output", str(tmp_path / "out")]
    assert main([*words, "--n", "4"]) == 2
    assert capsys.readouterr().err.startswith(f"asam {command}: error: expected a box or points")
    assert main([*words, "--n", "3"]) == 0
    assert "asking about the whole image" in capsys.readouterr().err


def test_it_says_what_its_hypotheses_are(sam_engine: Path, sam_session: asam_trt.Session) -> None:
    assert "plain SAM: its 3 multimask masks of the prompt" in repr(sam_session)
    manifest = json.loads((sam_engine / "manifest.json").read_text())
    assert manifest["source"]["readings"].startswith("plain SAM: its 3 multimask masks of the prompt")
    assert manifest["sampler"]["separate_masks"] is True
    assert manifest["preprocessing"]["jitter"] == {"scale": [1.0, 1.0], "shift": 5.0}


def test_evaluation_names_it_and_calibration_refuses_it(sam_engine: Path, engine: Path) -> None:
    with asam_trt.load(sam_engine) as session, asam_trt.load(engine) as other:
        assert Engine(session).name.startswith("SAM, engine (")
        assert Engine(other).name.startswith("A-SAM, engine (")
        with pytest.raises(ValueError, match=r"calibration: expected an engine with latents.*plain SAM"):
            calibrate(session, Synthetic("pair", length=1, size=64))


def test_commands(
    sam_engine: Path, image: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image).save(tmp_path / "photo.png")
    (tmp_path / "frames").mkdir()
    for i in range(3):
        Image.fromarray(np.roll(image, i, axis=1)).save(tmp_path / "frames" / f"{i}.png")
    box = ["--box", *map(str, BOX)]
    words = ["--engine", str(sam_engine), *box, "--n", "5", "--output", str(tmp_path / "out")]
    for command, source in (("sample", "photo.png"), ("video", "frames")):
        assert main([command, str(tmp_path / source), *words]) == 0
        assert "percentages are shares of the hypotheses, not probabilities" in capsys.readouterr().out
    assert (tmp_path / "out" / "overlay.mp4").stat().st_size > 0


def test_one_command_builds_it_at_another_size(sam_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "sam.asam"
    words = [str(sam_file), "--output", str(target), "--image-size", "48", "--jitter", "both"]
    assert main(["build", *words]) == 0
    written = (target / "manifest.json").stat()
    assert main(["build", *words]) == 0
    again = (target / "manifest.json").stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    found = bundle.EngineBundle.open(target)
    assert found.sampler.side == 48
    assert found.preprocessing.jitter == JITTERS["both"]
    assert "moved by up to 8 pixels of 128 and scaled by 0.7 to 1.3" in found.readings


def test_a_model_without_latents_answers_jittered_prompts(tmp_path: Path, image: np.ndarray) -> None:
    torch.manual_seed(0)
    model = asam.ASAM(asam.ModelConfig(backbone="nano", image_size=64, latents=(), posterior=False)).eval()
    model.save(tmp_path / "model.safetensors")
    with asam_trt.Session(
        asam_trt.build_engine(tmp_path / "model.safetensors", progress=False), precision="float32"
    ) as session:
        assert "a model without latents: its one mask of the prompt" in repr(session)
        session.set_image(image)
        found = session.sample(box=BOX, n=4, seed=3)
    moved = JITTERS["shift"].prompts(
        Prompt(box=np.array(BOX)), latent_noise(n=4, latent=LATENT, seed=3), found.frame, 1
    )
    for i, one in enumerate(moved):
        expected = model.sample(image, box=one.box, n=1)
        np.testing.assert_allclose(found.logits[i], expected.logits[0], rtol=0, atol=1e-4)
    assert np.abs(found.logits[1] - found.logits[0]).max() > 1e-4


@pytest.mark.parametrize("name", sorted(JITTERS))
def test_jitter_is_the_perturbation_of_the_same_name(name: str) -> None:
    uniform = np.array([0.3, 0.9, 0.05, 0.6])
    normal = torch.special.ndtri(torch.from_numpy(uniform)).numpy().astype(np.float32)
    noise = np.zeros((2, 2, 4), np.float32)
    noise[0, 0] = normal
    frame = Frame.of(200, 320, 64)

    class Given(np.random.Generator):
        """Its numbers are those above, in their order."""

        def __init__(self) -> None:
            super().__init__(np.random.PCG64())
            self.left = list(uniform)

        def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
            return low + (high - low) * np.array([self.left.pop(0) for _ in range(size)])

    perturbation = PERTURBATIONS[name]
    assert isinstance(perturbation, BoxPerturbation)
    want = perturbation(BOX, (200, 320), Given())
    got = JITTERS[name].prompts(Prompt(box=np.array(BOX)), noise, frame, 1)[1].box
    assert got is not None
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


def test_foreign_files_and_options_are_refused(
    sam: Sam, sam_file: Path, checkpoint: Path, tmp_path: Path
) -> None:
    state = sam.state_dict()
    torch.save({**state, "mask_decoder.hf_token.weight": torch.zeros(1, 64)}, tmp_path / "more.pth")
    with pytest.raises(CheckpointError, match=r"no others.*hf_token"):
        asam_trt.build_engine(tmp_path / "more.pth", progress=False)
    wide = {**state, "image_encoder.pos_embed": torch.zeros(1, 4, 4, 80)}
    torch.save(wide, tmp_path / "wide.pth")
    with pytest.raises(CheckpointError, match="backbone"):
        asam_trt.build_engine(tmp_path / "wide.pth", progress=False)
    torch.save({k: v for k, v in state.items() if "norm1" not in k}, tmp_path / "less.pth")
    with pytest.raises(CheckpointError, match="norm1"):
        asam_trt.build_engine(tmp_path / "less.pth", progress=False)
    data = sam_file.read_bytes()
    (tmp_path / "cut.pth").write_bytes(data[: len(data) // 2])
    assert not is_sam(tmp_path / "cut.pth")
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        asam_trt.build_engine(tmp_path / "cut.pth", progress=False)
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        asam_trt.build_engine(tmp_path / "cut.pth", masks="single", progress=False)
    with pytest.raises(CheckpointError, match="damaged: expected the list of records at its end"):
        PlainSam.read(tmp_path / "cut.pth")
    with pytest.raises(ValueError, match="jitter for a model without latents alone"):
        asam_trt.build_engine(checkpoint, tmp_path / "x.asam", jitter="shift", progress=False)
    with pytest.raises(ValueError, match=r"image_size=64 for a plain SAM alone, came .*leave it out"):
        asam_trt.build_engine(checkpoint, tmp_path / "x.asam", image_size=64, progress=False)
    with pytest.raises(ValueError, match=r"pixels='unit' for a plain SAM alone, came .*leave it out"):
        asam_trt.build_engine(checkpoint, tmp_path / "x.asam", pixels="unit", progress=False)
    with pytest.raises(ValueError, match=r"pixels: expected one of \['sam', 'unit'\], got 'byte'"):
        asam_trt.build_engine(sam_file, tmp_path / "x.asam", pixels="byte", progress=False)
    with pytest.raises(ValueError, match=r"masks='single' for a plain SAM alone, came .*leave it out"):
        asam_trt.build_engine(checkpoint, tmp_path / "x.asam", masks="single", progress=False)
    with pytest.raises(ValueError, match=r"masks: expected one of \['multi', 'single'\], got 'three'"):
        asam_trt.build_engine(sam_file, tmp_path / "x.asam", masks="three", progress=False)
    with pytest.raises(ValueError, match="jitter to be one of none, shift"):
        asam_trt.build_engine(sam_file, jitter="much", progress=False)
    assert not (tmp_path / "x.asam").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image_encoder.pos_embed", torch.zeros(1, 1, 1, 64).expand(1, 5000, 5000, 64), "all its numbers"),
        ("image_encoder.pos_embed", torch.tensor(0.0), "a square table"),
        ("mask_decoder.mask_tokens.weight", torch.zeros(4, 64, device="meta"), "dense tensor .*meta"),
        (3, torch.zeros(1), "by the name 3"),
    ],
)
def test_tensors_that_are_no_plain_arrays(
    sam: Sam, tmp_path: Path, name: str, value: torch.Tensor, message: str
) -> None:
    torch.save({**sam.state_dict(), name: value}, tmp_path / "sam.pth")
    with pytest.raises(CheckpointError, match=message):
        asam_trt.build_engine(tmp_path / "sam.pth", progress=False)
    assert not (tmp_path / "sam.asam").exists()


@pytest.mark.parametrize("side", [16_400, 100_000_000])
def test_an_absurd_side_is_refused_at_once(sam_file: Path, tmp_path: Path, side: int) -> None:
    with pytest.raises(ValueError, match=f"image_size: .*4096 at most, got {side}"):
        asam_trt.build_engine(sam_file, tmp_path / "x.asam", image_size=side, progress=False)


@pytest.mark.parametrize(
    "jitter",
    [
        {"scale": [1, 1]},
        {"scale": [1, 1], "shift": 1e300},
        {"scale": [0, 2], "shift": 5},
        {"scale": [1, 1], "shift": True},
        {"scale": "11", "shift": 5},
        [1, 1, 5],
    ],
)
def test_an_absurd_jitter_is_an_engine_error(sam_engine: Path, tmp_path: Path, jitter: Any) -> None:
    folder = Path(shutil.copytree(sam_engine, tmp_path / "copy.asam"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["preprocessing"]["jitter"] = jitter
    manifest["digest"] = bundle.manifest_digest(manifest)
    (folder / "manifest.json").write_bytes(bundle.manifest_bytes(manifest))
    with pytest.raises(EngineError, match=r"manifest.json: expected (preprocessing\.)?jitter"):
        asam_trt.Session(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["preprocessing"].pop("jitter"), "came no preprocessing.jitter"),
        (
            lambda m: (m["preprocessing"].pop("jitter"), m["sampler"].update(separate_masks=False)),
            "came no preprocessing.jitter",
        ),
        (lambda m: m["sampler"].update(combiner_layers=4), "came 4 combiner layers"),
        (lambda m: m["sampler"].update(latent=2), "sampler.latent of at least 4 beside preprocessing.jitter"),
    ],
)
def test_sampler_and_jitter_are_of_one_kind_of_model(
    sam_engine: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = Path(shutil.copytree(sam_engine, tmp_path / "copy.asam"))
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    manifest["digest"] = bundle.manifest_digest(manifest)
    (folder / "manifest.json").write_bytes(bundle.manifest_bytes(manifest))
    with pytest.raises(EngineError, match=rf"manifest\.json: .*{message}"):
        bundle.EngineBundle.open(folder)


def test_jitter_stays_in_the_image() -> None:
    frame = Frame.of(40, 30, 64)
    prompt = Prompt(box=np.array([0.0, 0.0, 3.0, 3.0]), point_coords=np.array([[29.5, 0.5]]))
    noise = np.random.default_rng(0).normal(size=(65, 2, 4)).astype(np.float32) * 3
    for one in Jitter((0.1, 1.9), 128.0).prompts(prompt, noise, frame, 1)[1:]:
        assert one.box is not None
        assert one.point_coords is not None
        assert (one.box[:2] >= 0).all()
        assert (one.box[2:] <= (30, 40)).all()
        assert (one.box[2:] - one.box[:2] >= 1).all()
        assert ((one.point_coords >= 0) & (one.point_coords <= (30, 40))).all()
