"""Video frames with one object mask each (DAVIS): <sequence>/{frames,masks}, or the official tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asam.data.errors import DataError
from asam.data.files import FileDataset, listing, read_image, read_mask
from asam.data.sample import Sample

__all__ = ["Davis"]

_EXPECTED = "<sequence>/{frames,masks}, or JPEGImages/480p/<sequence> and Annotations/480p/<sequence>"


@dataclass(frozen=True)
class _Frame:
    id: str
    group: str
    image: Path
    mask: Path


class Davis(FileDataset[_Frame]):
    """Frames in order, grouped by sequence; any colour of the annotation is the object.

    Args:
        root: folder with the sequences, or one sequence.
        sequence: only this one.
        report: see `FileDataset`.
    """

    def __init__(
        self, root: str | Path, *, sequence: str | None = None, report: list[DataError] | None = None
    ) -> None:
        folder = Path(root)
        entries: list[_Frame] = []
        problems: list[DataError] = []
        found = _sequences(folder)
        if sequence is not None and sequence not in found:
            raise ValueError(
                f"sequence: expected one in {folder} ({', '.join(found) or 'none'}), got {sequence!r}"
            )
        for name, (frames, masks) in found.items():
            if sequence in (None, name):
                _collect(name, frames, masks, entries, problems)
        super().__init__(folder, entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return bool(_sequences(root))

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        image = read_image(entry.image)
        mask = read_mask(entry.mask, image.shape, threshold=0)
        return Sample.of(image, mask[None], id=entry.id, group=entry.group)


def _sequences(root: Path) -> dict[str, tuple[Path, Path]]:
    if (root / "frames").is_dir() and (root / "masks").is_dir():
        return {root.name: (root / "frames", root / "masks")}
    official = root / "JPEGImages" / "480p"
    if official.is_dir():
        return {path.name: (path, root / "Annotations" / "480p" / path.name) for path in listing(official)}
    return {
        path.name: (path / "frames", path / "masks")
        for path in listing(root)
        if (path / "frames").is_dir() and (path / "masks").is_dir()
    }


def _collect(name: str, frames: Path, masks: Path, entries: list[_Frame], problems: list[DataError]) -> None:
    pictures = {path.stem: path for path in listing(frames)}
    truths = {path.stem: path for path in listing(masks)}
    for stem in sorted(pictures.keys() | truths.keys()):
        if stem not in truths:
            problems.append(DataError(masks / f"{stem}.png", "not found, though the frame is there"))
        elif stem not in pictures:
            problems.append(DataError(truths[stem], "mask without a frame"))
        else:
            entries.append(_Frame(f"{name}/{stem}", name, pictures[stem], truths[stem]))
