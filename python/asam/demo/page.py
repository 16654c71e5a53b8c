"""One HTML page that shows pictures, a video and figures; no script, no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from asam_trt.files import write_text

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fafaf8; max-width: 1080px;
       margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
img, video { max-width: 100%; border-radius: 6px; border: 1px solid #ddd; display: block; margin: 1rem 0; }
table { border-collapse: collapse; } td { padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid #e4e4e0; }
td + td { font-variant-numeric: tabular-nums; font-weight: 600; } summary { cursor: pointer; }
pre { overflow-x: auto; background: #f0f0ec; padding: 1rem; border-radius: 6px; font-size: 13px; }
"""


@dataclass(frozen=True)
class Figure:
    """One section: a title, a text, pictures or a video by file name beside the page, numbers it measured."""

    title: str
    text: str
    images: Sequence[str] = ()
    video: str | None = None
    numbers: dict[str, float] = field(default_factory=dict)


def write_page(
    path: Path, *, sections: Sequence[Figure], figures: Mapping[str, str], report: Mapping[str, Any]
) -> Path:
    """Write the page under a temporary name, rename it, and return its path."""
    rows = "\n".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in figures.items())
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>A-SAM</title>",
        f"<style>{_STYLE}</style></head><body>",
        "<h1>What else could the object be?</h1>",
        "<p>Segment Anything answers an ambiguous prompt with one mask. A-SAM answers with the distribution of "
        "plausible masks: every hypothesis below is one draw from it.</p>",
        f"<h2>Figures of this run</h2><table>{rows}</table>",
        *(_section(section) for section in sections),
        "<details><summary>All metrics, with their conventions</summary>",
        f"<pre>{escape(json.dumps(report, indent=1))}</pre></details>",
        "</body></html>",
    ]
    write_text(path, "\n".join(parts))
    return path


def _section(section: Figure) -> str:
    title, text = escape(section.title), escape(section.text)
    images = "".join(f"<img src='{escape(name)}' alt='{title}: {escape(name)}'>" for name in section.images)
    video = ""
    if section.video is not None:
        video = f"<video src='{escape(section.video)}' controls loop autoplay muted playsinline></video>"
    return f"<h2>{title}</h2><p>{text}</p>{video}{images}"
