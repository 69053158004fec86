"""The report as one HTML file that needs no other."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mmdet_ext.apis.report.gallery import Picture

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #23272e; max-width: 1180px; margin: 0 auto;
  padding: 24px; background: #fff; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 8px;
  border-bottom: 1px solid #d9dce1; padding-bottom: 4px; } h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0; } .quiet { color: #606771; font-size: 13px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 18px 0; }
.tile { border: 1px solid #d9dce1; border-radius: 8px; padding: 8px 14px; min-width: 96px; }
.tile b { display: block; font-size: 22px; } .tile span { color: #606771; font-size: 12px; }
.note { background: #fff6df; border-left: 4px solid #e0a93b; padding: 6px 12px; margin: 8px 0; }
table { border-collapse: collapse; font-size: 13px; margin: 6px 0; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid #eceef1; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; } th { color: #606771; font-weight: 600; }
.scroll { overflow-x: auto; max-height: 520px; overflow-y: auto; } img { max-width: 100%; height: auto; }
figure { margin: 12px 0; } figcaption { font-size: 13px; color: #606771; margin-top: 2px; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(520px, 1fr)); gap: 14px; }
.gallery figure { margin: 0; } .gallery b { color: #23272e; overflow-wrap: anywhere; }
"""

TITLES = {
    'ap': 'AP .5:.95',
    'ap50': 'AP .5',
    'ap75': 'AP .75',
    'ap_at_iou_threshold': 'AP',
    'f1': 'F1',
    'mean_iou': 'mean IoU',
    'auc_predictions': 'AUC, predictions',
    'auc_images': 'AUC, images',
    'detection_accuracy': 'accuracy',
    'classification_accuracy': 'class accuracy',
    'calibration_error': 'calibration error',
    'threshold': 'score ≥',
}
"""What figures are called where their names would not do."""


def tile(name: str, value: Any) -> str:
    """A number to be seen first."""
    return f'<div class="tile"><b>{shown(value)}</b><span>{_escaped(name)}</span></div>'


def shown(value: Any) -> str:
    """A value as text: counts whole, figures with three digits, NaN as a dash."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return '-'
    if isinstance(value, float | np.floating):
        return f'{value:.3f}' if abs(value) < 100 else f'{value:,.1f}'
    return f'{value:,}' if isinstance(value, int | np.integer) else _escaped(str(value))


def _escaped(text: str) -> str:
    return html.escape(str(text))


def table(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str] = TITLES) -> str:
    """A table with a line per row; columns are the names of the figures or their ``titles``."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = ''.join(f'<th>{_escaped(titles.get(n, n.replace("_", " ")))}</th>' for n in names)
    body = ''.join(
        f'<tr>{"".join(f"<td>{shown(row.get(name))}</td>" for name in names)}</tr>' for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def plot(png: bytes, text: str) -> str:
    """A plot with a sentence on how to read it."""
    return f'<figure>{_image(png, "png", text)}<figcaption>{_escaped(text)}</figcaption></figure>'


def _image(content: bytes, kind: str, text: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<img src="data:image/{kind};base64,{data}" alt="{_escaped(text)}">'


def gallery(pictures: Sequence[Picture]) -> str:
    """Pictures beside each other; empty without any."""
    if not pictures:
        return ''
    legend = (
        'Truth on the left, predictions on the right; found and right in green, missed and false in '
        'red, ignored in grey.'
    )
    return (
        f'{paragraph(legend, "quiet")}<div class="gallery">{"".join(map(_picture, pictures))}</div>'
    )


def _picture(picture: Picture) -> str:
    content = cv2.imencode('.jpg', picture.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    caption = f'<b>{_escaped(picture.name)}</b><br>{_escaped(picture.caption)}'
    image = _image(content.tobytes(), 'jpeg', f'{picture.name}: truth and prediction')
    return f'<figure>{image}<figcaption>{caption}</figcaption></figure>'


def section(title: str, *parts: str) -> str:
    """A part of the page under a heading; empty without content."""
    return f'<h2>{_escaped(title)}</h2>{"".join(parts)}' if any(parts) else ''


def heading(text: str) -> str:
    """Above a part of a section."""
    return f'<h3>{_escaped(text)}</h3>'


def paragraph(text: str, kind: str = '') -> str:
    """Text, ``kind`` being ``note`` or ``quiet``."""
    return f'<p class="{kind}">{_escaped(text)}</p>'


def page(title: str, parts: Sequence[str]) -> str:
    """The whole file."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_escaped(title)}</title>'
        f'<style>{_STYLE}</style><h1>{_escaped(title)}</h1>{"".join(parts)}</html>'
    )
