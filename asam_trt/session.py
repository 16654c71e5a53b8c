"""A running engine: encode an image once, then sample hypotheses for as many prompts as wanted."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from asam_trt import backends, encoders
from asam_trt import precision as precisions
from asam_trt.asked import Asked
from asam_trt.bundle import EngineBundle
from asam_trt.checks import as_path, unmasked
from asam_trt.errors import EngineError
from asam_trt.geometry import Frame, as_image, resize_image
from asam_trt.host_arrays import to_host
from asam_trt.hypotheses import Hypotheses
from asam_trt.jitter import Jitter
from asam_trt.noise import hypotheses_of, latent_noise, most_hypotheses, most_prompts
from asam_trt.prompt import Prompt
from asam_trt.threads import checked_threads

Float32Array = npt.NDArray[np.float32]

# Hypotheses of one native call, during which Python cannot see an interrupt.
_CALL_CELLS = 1 << 18  # cells of the embedding, all hypotheses together: a second or so
_CALL_HYPOTHESES = 1 << 12


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image that a Session has encoded; immutable, and usable by several threads at once.

    Attributes:
        image: uint8 or float32 [H, W, 3], as given.
        frame: where it lies in model space.
    """

    image: npt.NDArray[Any]
    frame: Frame
    _state: Any
    _owner: Session

    def __repr__(self) -> str:
        h, w = self.frame.original
        return f"EncodedImage({w} x {h} (w x h))"


class Session:
    """One engine, loaded.

    ``set_image`` and ``sample`` may be called from several threads: each call is whole. Two threads that work
    on two images keep the `EncodedImage` that ``set_image`` returns and give it to ``sample(image=...)``.

    Args:
        path: the engine folder, made by `asam_trt.build_engine`.
        threads: of the encoder and, for the whole process, of the native loops; None keeps
            `asam_trt.get_num_threads()`. Results do not depend on it.
        backend: "auto" takes the best that works here; `backend` and `backend_reason` say which and why.
        precision: of the native products: "float32"; "int16", faster and close to it, where the processor has AVX2;
            "int8", where it has AVX-VNNI, AVX512-VNNI or, on ARM, the dot product: 8 bits where they cost least,
            faster again and less exact (judge it on your own checkpoint); "int8-encoder", the same in the image
            encoder alone; on a GPU "float32", "bf16" or "fp16"; or "auto": what the engine was built for, else int16,
            or bf16 on a GPU, where it can run.
            `precision` and `precision_reason` say which and why.
        encoder: of images: "native" or "onnxruntime" (float32 whatever the precision) on the CPU; "torch", PyTorch on
            the GPU, with the backend "cuda" alone; or "auto", the fastest one here: on that backend PyTorch, else
            ONNX Runtime's code for GPUs, else one of the CPU. `encoder` and `encoder_reason` say which and why.

    Raises:
        EngineError: the folder is missing, damaged, foreign or of another version.
        BackendUnavailable: the backend or the precision asked for cannot run here.
        TypeError, ValueError: an argument is not as above, or ASAM_FORCE_ISA names no instruction set of
            this processor.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        backend: str = "auto",
        precision: str = "auto",
        encoder: str = "auto",
    ) -> None:
        self.backend, self.backend_reason = backends.choose(backend)
        # What cannot run is refused before a file is read.
        self.precision, self.precision_reason = precisions.choose(precision, self.backend)
        encoders.checked(encoder)
        if threads is not None:
            threads = checked_threads(threads, "threads")
        self.engine = EngineBundle.open(as_path(path, "path"))
        if precision == "auto":
            self.precision, self.precision_reason = precisions.of_engine(self.engine.precision, self.backend)
        self.encoder, self.encoder_reason = encoders.choose(
            encoder,
            has_native=self.engine.has_native_encoder,
            has_torch_parts=self.engine.has_torch_parts,
            backend=self.backend,
            precision=self.precision,
        )
        weights = self.engine.load_weights()
        self._tables = self.engine.prompt_tables(weights)
        self._backend: backends.Backend | None = backends.create(
            self.engine, weights, threads, self.precision, self.encoder, self.backend
        )
        self._current: EncodedImage | None = None
        # Two locks, so that an image can be encoded while hypotheses of another are drawn.
        self._encode_lock, self._lock = threading.Lock(), threading.RLock()
        self._process = os.getpid()
        _sessions[:] = [one for one in _sessions if one() is not None] + [weakref.ref(self)]

    def set_image(self, image: Any) -> EncodedImage:
        """Encode an image; ``sample`` uses it until the next one is set.

        Args:
            image: uint8 RGB [H, W, 3] or grey [H, W], or floating point in [0, 1]; NumPy, PIL, PyTorch, any
                DLPack or ``__cuda_array_interface__`` object. Any size: resized as SAM does, masks come back
                in its pixels.

        Raises:
            TypeError, ValueError: not such an image; see `asam_trt.geometry.as_image`.
            EngineError: what the engine makes of it is not finite.
        """
        self._current = encoded = self.encode(image)
        return encoded

    def encode(self, image: Any) -> EncodedImage:
        """`set_image` that leaves the image of ``sample`` as it is: for ``sample(image=...)``, now or later."""
        self._running()
        array = as_image(image)
        if not array.flags.owndata or array is image:
            array = array.copy()  # the caller may fill it anew
        settings = self.engine.preprocessing
        pixels, frame = resize_image(
            array, settings.side, settings.mean, settings.std, cell=self.engine.sampler.cell
        )
        with self._encode_lock, self._engine_at_fault():
            return EncodedImage(array, frame, self._running().encode(pixels), self)

    @overload
    def sample(
        self,
        *,
        box: npt.ArrayLike | None = ...,
        point_coords: npt.ArrayLike | None = ...,
        point_labels: npt.ArrayLike | None = ...,
        mask_input: npt.ArrayLike | None = ...,
        boxes: None = ...,
        n: int | None = ...,
        seed: int = ...,
        eps: npt.ArrayLike | None = ...,
        temperature: float = ...,
        latents: str = ...,
        image: EncodedImage | None = ...,
    ) -> Hypotheses: ...

    @overload
    def sample(
        self,
        *,
        boxes: Sequence[npt.ArrayLike] | npt.NDArray[Any],
        n: int | None = ...,
        seed: int = ...,
        eps: npt.ArrayLike | None = ...,
        temperature: float = ...,
        latents: str = ...,
        image: EncodedImage | None = ...,
    ) -> list[Hypotheses]: ...

    def sample(
        self,
        *,
        box: npt.ArrayLike | None = None,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        boxes: Sequence[npt.ArrayLike] | npt.NDArray[Any] | None = None,
        n: int | None = None,
        seed: int = 0,
        eps: npt.ArrayLike | None = None,
        temperature: float = 1.0,
        latents: str = "iid",
        image: EncodedImage | None = None,
    ) -> Hypotheses | list[Hypotheses]:
        """Draw n masks that the prompt may mean; the same seed gives the same masks.

        A prompt is any combination of points, a box and a mask, as in SAM; none of them is allowed too.

        An engine of a plain SAM, or of a model whose latents are off, says so in its ``repr``. Its hypotheses are
        the masks that SAM has for the prompt, then those for prompts beside it (`asam_trt.jitter`); the noise
        moves these prompts.

        Args:
            box: (x0, y0, x1, y1), pixels of the image.
            point_coords: [k, 2], x before y, pixels of the image; with ``point_labels`` [k], 1 object, 0 not.
            mask_input: float [4e, 4e], logits of an earlier hypothesis, or bool [H, W], a mask of the image: one
                that was corrected by hand, say.
            boxes: several boxes on the one image: a list comes back, one `Hypotheses` each, all with the same
                noise. Not together with the arguments above.
            n: number of hypotheses; 32, or as many as ``eps`` has.
            seed: 0 <= seed < 2**64. Hypothesis i of a seed is the same for every n.
            eps: float32 [n, 2, L], noise of the prompt and the image latent in place of the seed; zeros give
                the prior means.
            temperature: factor on both standard deviations, >= 0; noise beyond 10^6 of them is refused.
            latents: "iid", or noise that covers the same distribution more evenly: "antithetic" (hypothesis 2i + 1
                mirrors 2i) or "sobol" (scrambled Sobol points; best with n a power of two). Hypothesis i of a
                seed is the same for every n with each of them. See `asam_trt.latents`.
            image: what ``set_image`` returned; None is the last one set.

        Raises:
            TypeError, ValueError: an argument is not as above.
            EngineError: what the engine makes of it is not finite.
            RuntimeError: no image is set, the session is closed, or it was made before a fork.
        """
        self._running()
        if boxes is not None:
            if not (box is None and point_coords is None and point_labels is None and mask_input is None):
                raise ValueError(
                    "expected either boxes, or one prompt of box, points and mask_input, came both"
                )
            boxes = _several(boxes, most_prompts(self.engine.sampler.logits_side))
        sizes = self.engine.sampler
        noise = latent_noise(
            n=hypotheses_of(n, eps),
            latent=sizes.latent,
            seed=seed,
            eps=eps,
            temperature=temperature,
            latents=latents,
            most=most_hypotheses(sizes.logits_side, 1 if boxes is None else len(boxes)),
        )
        drawn: dict[str, Any] = {
            "seed": int(seed),
            "eps": None,
            "temperature": float(temperature),
            "latents": latents,
        }
        if eps is not None:
            drawn = {"seed": None, "eps": noise, "temperature": 1.0, "latents": latents}
        with self._lock:
            encoded = self._encoded(image)
            if boxes is None:
                prompt = self._checked(
                    encoded,
                    point_coords=point_coords,
                    point_labels=point_labels,
                    box=box,
                    mask_input=mask_input,
                )
                return self._answer(encoded, prompt, noise, drawn)
            if any(one is None for one in boxes):
                raise TypeError("expected boxes (x0, y0, x1, y1), came None among them")
            prompts = [self._checked(encoded, box=one) for one in boxes]
            return [self._answer(encoded, prompt, noise, drawn) for prompt in prompts]

    def close(self) -> None:
        """Free the engine; later calls raise RuntimeError. Results already given stay valid.

        In a process that a fork made it does nothing: the engine is the other one's. Such a process ends by
        ``os._exit``, as those of `multiprocessing` do: ONNX Runtime waits at exit for threads it does not have.
        """
        if os.getpid() != self._process:
            return
        with self._encode_lock, self._lock:
            self._backend = None
            self._current = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"{self.backend}, {self.backend_reason}; {self.precision}, {self.precision_reason}"
        state += f"; images encoded by {self.encoder}, {self.encoder_reason}"
        if self._backend is None:
            state = "closed"
        elif self.engine.preprocessing.jitter is not None:
            state += f"; {self.engine.readings}"
        return f"Session({str(self.engine.path)!r}, side {self.engine.sampler.side}, {state})"

    def _running(self) -> backends.Backend:
        # Also called before the lock is taken: after a fork nobody may be left to release it.
        if os.getpid() != self._process:
            raise RuntimeError(
                f"this Session belongs to process {self._process} and does not survive the fork into "
                f"{os.getpid()}: make one after forking, or start processes with the 'spawn' method"
            )
        if self._backend is None:
            raise RuntimeError("this Session is closed; make another")
        return self._backend

    def _encoded(self, image: EncodedImage | None) -> EncodedImage:
        if image is None:
            image = self._current
        if image is None:
            raise RuntimeError("expected an image first: call set_image(image) before sample(...)")
        if not isinstance(image, EncodedImage):
            raise TypeError(f"expected image to be what set_image returned, came {type(image).__name__}")
        if image._owner is not self:
            raise ValueError("expected an image that this Session encoded, came one of another Session")
        return image

    def _checked(self, encoded: EncodedImage, **prompt: Any) -> Prompt:
        boxes_only = self.engine.preprocessing.boxes_only
        return Prompt.checked(**prompt, frame=encoded.frame, boxes_only=boxes_only)

    def _prompt(self, encoded: EncodedImage, prompt: Prompt) -> Any:
        tokens, dense = self._tables.encode(prompt, encoded.frame)
        with self._engine_at_fault():
            return self._running().prompt(encoded._state, tokens, dense)

    @contextlib.contextmanager
    def _engine_at_fault(self) -> Iterator[None]:
        """What a backend is given was checked before: it refuses numbers that this engine made of it."""
        try:
            yield
        except ValueError as error:
            raise EngineError(
                f"{self.engine.path}: expected an engine whose networks take each other's results, came: {error}"
            ) from error

    def _answer(
        self, encoded: EncodedImage, prompt: Prompt, noise: Float32Array, drawn: dict[str, Any]
    ) -> Hypotheses:
        """Hypotheses of a prompt; ``drawn`` says where the noise is from, in the fields of `Asked`."""
        jitter = self.engine.preprocessing.jitter
        if jitter is None:
            logits, scores = self._drawn(encoded, prompt, noise)
        else:
            logits, scores = self._jittered(encoded, prompt, noise, jitter)
        for name, values in (("logits", logits), ("scores", scores)):
            # A NaN or an infinity anywhere reaches the sum.
            if not np.isfinite(values.sum(dtype=np.float64)):
                raise EngineError(
                    f"{self.engine.path}: expected finite {name}, came NaN or infinity from this engine"
                )
        asked = Asked(
            prompt=prompt,
            index=np.arange(len(noise)),
            engine=str(self.engine.path),
            engine_digest=self.engine.digest,
            precision=self.precision,
            **drawn,
        )
        return Hypotheses(logits, scores, encoded.frame, image=encoded.image, asked=asked)

    def _drawn(
        self, encoded: EncodedImage, prompt: Prompt, noise: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """A hypothesis a draw of the latents."""
        state = self._prompt(encoded, prompt)
        n, sizes = len(noise), self.engine.sampler
        step = max(1, min(_CALL_HYPOTHESES, _CALL_CELLS // sizes.cells))
        if n <= step:
            return self._running().sample(encoded._state, state, noise)
        logits, scores = _room(n, sizes.logits_side)
        for first in range(0, n, step):
            part = slice(first, first + step)
            logits[part], scores[part] = self._running().sample(encoded._state, state, noise[part])
        return logits, scores

    def _jittered(
        self, encoded: EncodedImage, prompt: Prompt, noise: Float32Array, jitter: Jitter
    ) -> tuple[Float32Array, Float32Array]:
        """Without latents: all masks of the prompt, then of jittered ones, until there are n."""
        sizes = self.engine.sampler
        logits, scores = _room(len(noise), sizes.logits_side)
        means = np.zeros((1, 2, sizes.latent), np.float32)
        first = 0
        for one in jitter.prompts(prompt, noise, encoded.frame, sizes.masks):
            some = self._running().sample(encoded._state, self._prompt(encoded, one), means)
            part = slice(first, min(first + sizes.masks, len(noise)))
            logits[part], scores[part] = (values[: part.stop - first] for values in some)
            first = part.stop
        return logits, scores


# Those that a forked child inherits. No WeakSet: an interrupt within its callbacks would be lost.
_sessions: list[weakref.ref[Session]] = []


def _abandon() -> None:
    """Keep a child from freeing what it inherited: a pool would wait for threads that only the parent has."""
    for session in (one() for one in _sessions):
        if session is not None and session._backend is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session._backend))
            session._backend = None


os.register_at_fork(after_in_child=_abandon)


def _room(n: int, side: int) -> tuple[Float32Array, Float32Array]:
    return np.empty((n, side, side), np.float32), np.empty(n, np.float32)


def _several(boxes: Any, most: int) -> Sequence[Any] | npt.NDArray[Any]:
    unmasked(boxes, "boxes")
    if not isinstance(boxes, Sequence) and hasattr(boxes, "__array__"):
        boxes = to_host(boxes, "boxes")
    if (
        isinstance(boxes, (str, bytes))
        or not isinstance(boxes, (Sequence, np.ndarray))
        or (isinstance(boxes, np.ndarray) and boxes.ndim == 0)
    ):
        raise TypeError(
            f"expected boxes to be a sequence of boxes (x0, y0, x1, y1), came {type(boxes).__name__}"
        )
    if not 1 <= len(boxes) <= most:
        raise ValueError(f"expected 1 to {most} boxes in a call, came {len(boxes)}; ask in several calls")
    return boxes


def load(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    backend: str = "auto",
    precision: str = "auto",
    encoder: str = "auto",
) -> Session:
    """Open an engine folder: the same as `Session`."""
    return Session(path, threads=threads, backend=backend, precision=precision, encoder=encoder)
