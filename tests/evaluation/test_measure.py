"""Asking and judging a whole data set."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from asam.data import Sample, Synthetic
from asam.data.base import ArrayDataset, encoded
from asam.evaluate import A2SAM, STRICT, Ensemble, Measured, evaluate, markdown, measure, summarise
from asam.evaluate.provenance import of_training
from asam_trt import Hypotheses
from asam_trt.geometry import Frame

SIDE = 32


class Listed(ArrayDataset[Sample]):
    """Samples from a list."""

    def __init__(self, samples: list[Sample]) -> None:
        super().__init__(ids=[s.id for s in samples], groups=[s.group for s in samples])
        self.samples = samples

    def _load(self, index: int) -> Sample:
        return self.samples[index]


@dataclass
class Spy:
    """Answers with boxes filled, and remembers what it was asked."""

    name: str = "spy"
    asked: list[tuple[str, tuple[float, ...], int, int]] = field(default_factory=list)

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        self.asked.append((sample.id, tuple(sample.box.tolist()), n, seed))
        logits = np.full((n, SIDE // 4, SIDE // 4), -1, np.float32)
        logits[:, 2:5, 2:5] = 1
        return Hypotheses(logits, np.ones(n, np.float32), Frame.of(SIDE, SIDE, SIDE))


def sample(name: str, group: str, raters: int = 3) -> Sample:
    masks = np.zeros((raters, SIDE, SIDE), np.bool_)
    for j in range(raters):
        masks[j, 8 : 18 + j, 8:20] = True
    return Sample.of(np.zeros((SIDE, SIDE, 3), np.uint8), masks, id=name, group=group)


def test_sample_i_is_drawn_with_seed_plus_i_and_limit_spreads() -> None:
    data = Synthetic("pair", size=SIDE, seed=0, length=9)
    spy = Spy()
    measured = measure(spy, data, n=4, seed=50, limit=3)
    assert [(name, n, seed) for name, _, n, seed in spy.asked] == [
        (data.ids[i], 4, 50 + i) for i in (0, 4, 8)
    ]
    assert measured.ids == (data.ids[0], data.ids[4], data.ids[8])


def test_seeds_begin_again_after_the_last() -> None:
    spy = Spy()
    measure(spy, Synthetic("pair", size=SIDE, seed=0, length=3), n=2, seed=2**64 - 2)
    assert [seed for *_, seed in spy.asked] == [2**64 - 2, 2**64 - 1, 0]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"n": 0}, "n: expected 1 to 8192 hypotheses a sample"),
        ({"n": 1 << 16}, "n: expected 1 to 8192 hypotheses a sample"),
        ({"limit": 0}, "limit: expected at least 1 sample to look at, got 0"),
        ({"limit": -1}, "limit: expected at least 1 sample to look at, got -1"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"seed": 2**64}, "seed: expected 0 to"),
    ],
)
def test_what_is_asked_is_checked_before_the_first_sample(asked: dict[str, int], words: str) -> None:
    spy = Spy()
    with pytest.raises(ValueError, match=words):
        measure(spy, Listed([sample("a", "p")]), **asked)  # type: ignore[arg-type]
    assert spy.asked == []


def test_the_protocol_s_prompt_reaches_the_method() -> None:
    data = Listed([sample("a", "p"), sample("b", "p")])
    strict, a2sam = Spy(), Spy()
    measure(strict, data, n=1, protocol=STRICT)
    measure(a2sam, data, n=1, protocol=A2SAM, seed=4)
    for i in range(2):
        assert strict.asked[i][1] == tuple(data[i].box.tolist())
        assert a2sam.asked[i][1] == tuple(A2SAM.ask(data[i], seed=4 + i).box.tolist())
    assert a2sam.asked[0][1] != a2sam.asked[1][1]
    assert measure(Spy(), data, n=1, protocol=A2SAM).prompt == A2SAM.prompt


def test_undefined_figures_are_left_out_of_their_mean_and_told() -> None:
    data = Listed([sample("a", "p"), sample("b", "q"), sample("c", "r", raters=1)])
    measured = measure(Spy(), data, n=2)
    report = summarise(measured)
    floors = measured.values["ged_floor"]
    assert math.isnan(floors[2])
    assert report.means["ged_floor"] == pytest.approx((floors[0] + floors[1]) / 2)
    assert report.means["ged"] == pytest.approx(np.mean(measured.values["ged"]))
    assert report.defined == {"ged": 3, "ged_floor": 2, "hm_iou": 3, "dmax": 3, "dmean": 3}
    assert "ged_floor for 2" in markdown([report])


def test_figures_without_any_value_and_single_groups_are_null_in_json() -> None:
    measured = measure(Spy(), Listed([sample("c", "r", raters=1)]), n=2)
    report = summarise(measured)
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert document["means"]["ged_floor"] is None
    assert document["intervals"]["ged"] == [None, None]
    table = markdown([report])
    assert "one group alone" in table
    assert f"| spy | 2 | {report.means['ged']:.3f} | - |" in table


def test_measured_survives_json() -> None:
    measured = measure(Spy(), Listed([sample("a", "p"), sample("c", "r", raters=1)]), n=2, seed=3)
    back = Measured.from_dict(json.loads(json.dumps(measured.to_dict(), allow_nan=False)))
    assert repr(back) == repr(measured)  # NaN equals itself in print


def test_the_data_hash_follows_every_part_of_a_sample() -> None:
    one = sample("a", "p")

    def digest(changed: Sample) -> str:
        return measure(Spy(), Listed([changed]), n=1).data_sha256

    masks = one.masks.copy()
    masks[0, 0, 0] = True
    image = one.image.copy()
    image[3, 3, 1] += 1
    changes = [
        one,
        replace(one, masks=masks),
        replace(one, image=image),
        replace(one, box=one.box + 1),
        replace(one, weights=np.array([0.5, 0.25, 0.25], np.float32)),
        replace(one, group="q"),
        replace(one, id="b"),
        replace(one, click=np.array([9, 9], np.float32)),
    ]
    assert len({digest(changed) for changed in changes}) == len(changes)
    assert digest(one) == digest(sample("a", "p"))


def test_an_ensemble_shares_evenly_with_noise_of_its_own_and_says_how_many() -> None:
    members = (Spy(), Spy(), Spy(), Spy())
    ensemble = Ensemble(members)
    report = evaluate(ensemble, Listed([sample("a", "p")]), n=16, seed=9, protocol=A2SAM)
    assert [member.asked[0][2] for member in members] == [4] * 4
    assert len({member.asked[0][3] for member in members}) == 4
    assert members[0].asked[0][3] == 9
    assert report.method == "spy, 4 checkpoints"
    with pytest.raises(ValueError, match="multiple of the 4 checkpoints, got 6"):
        ensemble.hypotheses(sample("a", "p"), n=6, seed=0)


def test_nothing_to_evaluate() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        measure(Spy(), Listed([]))


@dataclass
class OneMode:
    """Answers with the first mode of the sample's law."""

    name: str = "one mode"

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        assert sample.law is not None
        law = sample.law.quantised(4)
        logits = np.where(law.modes[:1].repeat(n, axis=0), 1, -1).astype(np.float32)
        # A model four times as large as the image has a logit for each of its pixels.
        return Hypotheses(logits, np.ones(n, np.float32), Frame.of(SIDE, SIDE, 4 * SIDE))


def test_laws_with_modes_have_figures_of_their_own() -> None:
    pair, fuzzy = (Synthetic(kind, size=SIDE, seed=0, length=1)[0] for kind in ("pair", "fuzzy"))
    measured = measure(OneMode(), Listed([pair, fuzzy]), n=3)
    assert pair.law is not None
    modes, probs = pair.law.modes, pair.law.probs
    assert modes is not None
    assert probs is not None
    near = np.array([(modes[0] & mode).sum() / (modes[0] | mode).sum() >= 0.5 for mode in modes])
    assert not near.all()
    found, missing = np.array([measured.values["mode_recall"], measured.values["total_variation"]]).T
    assert found == pytest.approx([probs[near].sum(), 1 - probs[0]])
    assert np.isnan(missing).all()
    assert measured.conventions["mode_recall"] == "mode_recall"
    assert summarise(measured).defined["total_variation"] == 1
    for protocol, samples in ((A2SAM, [pair]), (STRICT, [sample("a", "p")])):
        plain = measure(Spy(), Listed(samples), n=3, protocol=protocol)
        assert list(plain.values) == list(protocol.figures)
        assert plain.conventions == {**protocol.figures, "empty": "one"}


def test_a_sample_that_the_method_refuses_is_named() -> None:
    class Refusing(Spy):
        def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
            if sample.id == "b":
                Frame.of(1, 2000, SIDE)
            return super().hypotheses(sample, n=n, seed=seed)

    with pytest.raises(ValueError, match=r"^b: expected an image at most 64 times longer than wide"):
        measure(Refusing(), Listed([sample("a", "p"), sample("b", "q")]), n=3)


def test_names_that_are_no_text_are_judged_and_told_apart() -> None:
    names = [os.fsdecode(b"caf" + byte) for byte in (b"\xe8", b"\xe9")]
    one, two = (measure(Spy(), Listed([sample(name, name)]), n=2) for name in names)
    assert (one.ids, one.groups) == ((names[0],), (names[0],))
    assert one.data_sha256 != two.data_sha256
    assert Measured.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    data = [Listed([sample(name, "p")]) for name in names]
    assert of_training("folder", data[0]) != of_training("folder", data[1])


def test_hashes_of_names_that_are_text_are_of_their_utf_8() -> None:
    assert encoded("café") == "café".encode()
