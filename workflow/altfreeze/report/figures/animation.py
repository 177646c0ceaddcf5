"""An animated picture of networks that learn: which layers do, and what they say of every point of a plane."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb

from altfreeze.report.figures.style import COLORS, GREY, LIGHT_GREY

# seconds of a frame, and sizes in pixels: of a plane, of what stands beside and above it, and between two
_SECONDS = 0.5
_PLANE, _STACK, _ABOVE, _GAP = 280, 40, 46, 24


class Frame(NamedTuple):
    """A moment of a training.

    Attributes
    ----------
    words : str
        What is said of it.
    active : sequence of bool
        For each layer, the bottom first, whether it learns.
    classes : numpy.ndarray
        Shape (rows, columns): the class of each point of the plane, the upper left one first.
    """

    words: str
    active: Sequence[bool]
    classes: np.ndarray


def learning_animation(
    trainings: Mapping[str, Sequence[Frame]], points: np.ndarray, labels: np.ndarray, title: str
) -> str:
    """Draw trainings side by side, frame after frame and again; without motion where a reader wants none.

    Parameters
    ----------
    trainings : dict of str to sequence of Frame
        As many frames of each.
    points : numpy.ndarray
        Shape (points, 2), each from -1 to 1: what was learned from.
    labels : numpy.ndarray
        Shape (points,): their classes.
    title : str
        What is seen, for readers who do not see it.

    Returns
    -------
    str
        SVG that loads and runs nothing; the same text for the same values.
    """
    width = len(trainings) * (_PLANE + _STACK + _GAP)
    count = max(map(len, trainings.values()))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_ABOVE + _PLANE + 4}" role="img" '
        f'font-family="DejaVu Sans, Arial, sans-serif" font-size="13"><title>{html.escape(title)}</title>',
        f"<style>.moment {{ opacity: 0; animation: moments {count * _SECONDS:g}s step-end infinite }}"
        f"@keyframes moments {{ 0% {{ opacity: 1 }} {100 / count:.4f}% {{ opacity: 0 }} }}"
        "@media (prefers-reduced-motion: reduce), print { .moment { animation: none } .moment.last { opacity: 1 } }"
        f'</style><rect width="{width}" height="{_ABOVE + _PLANE + 4}" fill="white"/>',
    ]
    for place, (name, frames) in enumerate(trainings.items()):
        left = place * (_PLANE + _STACK + _GAP)
        parts.append(f'<g transform="translate({left} 0)"><text y="16" font-weight="bold">{html.escape(name)}</text>')
        parts += [_moment(frame, number, len(frames)) for number, frame in enumerate(frames)]
        parts += [
            f'<circle cx="{_PLANE * (1 + x) / 2:.1f}" cy="{_ABOVE + _PLANE * (1 - y) / 2:.1f}" r="2" '
            f'fill="{COLORS[label]}" stroke="white" stroke-width=".5"/>'
            for (x, y), label in zip(points, labels, strict=True)
        ]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"])


def _moment(frame: Frame, number: int, count: int) -> str:
    """Return a frame: its words, the plane and the layers, the bottom one lowest."""
    height = _PLANE / len(frame.active)
    layers = "".join(
        f'<rect x="{_PLANE + 8}" y="{_ABOVE + _PLANE - (layer + 1) * height + 1:.1f}" width="{_STACK - 12}" '
        f'height="{height - 2:.1f}" fill="{COLORS[1] if learns else LIGHT_GREY}"/>'
        for layer, learns in enumerate(frame.active)
    )
    last = " last" if number == count - 1 else ""
    return (
        f'<g class="moment{last}" style="animation-delay: {(number - count) * _SECONDS:g}s">'
        f'<text y="36" fill="{GREY}">{html.escape(frame.words)}</text>'
        f'<image y="{_ABOVE}" width="{_PLANE}" height="{_PLANE}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{_png(frame.classes)}"/>{layers}</g>'
    )


def _png(classes: np.ndarray) -> str:
    """Return a map of classes in light colours as PNG in base64."""
    colors = np.array([[1 - 0.45 * (1 - part) for part in to_rgb(color)] for color in COLORS])
    file = io.BytesIO()
    matplotlib.image.imsave(file, colors[classes], format="png")
    return base64.b64encode(file.getvalue()).decode()
