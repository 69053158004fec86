"""What an exported file says of itself: the keys of its metadata. Needs NumPy alone."""

import json
from dataclasses import asdict, dataclass, fields

FORMAT_VERSION = 1
SLOT_OUTPUTS = ('corners', 'labels', 'scores', 'occupied_scores')
POINT_OUTPUTS = ('points', 'point_scores', 'directions', 'shapes')
BOX_OUTPUTS = ('boxes', 'scores', 'labels')
RAW_OUTPUTS = ('point_maps', 'slot_maps')
OUTPUTS = {
    'parking_slots': SLOT_OUTPUTS + POINT_OUTPUTS,
    'boxes': BOX_OUTPUTS,
    'raw': RAW_OUTPUTS,
}
"""Names of the outputs by :attr:`ExportedModel.kind`."""


@dataclass(frozen=True)
class ExportedModel:
    """Metadata of an exported file, in ONNX as JSON under these names.

    Attributes:
        kind: ``parking_slots``, ``boxes``, or ``raw``: the maps of a parking-slot head, not decoded.
        classes: Names of the classes.
        palette: Their colours, RGB.
        input_size: Width and height of the images that it takes, in pixels; None: any.
        network_size: Width and height that the network sees.
        placement: How other images are brought to ``input_size``: ``centre`` and ``top_left`` keep their
            shape and say where they stand in what is padded, ``stretch`` does not keep it.
        padding: The pixel to pad with, BGR.
        score_threshold: What scores less is no finding.
        entrance_margin: Slots whose entrance corners lie further outside the image are none, in pixels
            of a 600-pixel-high image.
        label_kinds: What the model was trained on, such as ``directions``.
        local_contrast: Arguments of ``equalise_lightness``, to be applied to images first; None: nothing.
        mean: Of the normalisation inside, per channel in the order of the image (BGR).
        std: Likewise.
        units: Of the outputs, in words.
        precision: ``fp32``, ``fp16`` or ``int8``.
        version: Of mmdet_ext that exported it.
        exporter: What exported it.
        config_sha256: Of the config, as MMEngine prints it.
        format_version: Of these keys and the outputs.
    """

    kind: str
    classes: tuple[str, ...]
    palette: list[tuple[int, int, int]]
    input_size: tuple[int, int] | None
    network_size: tuple[int, int]
    score_threshold: float
    placement: str = 'centre'
    padding: tuple[int, int, int] = (114, 114, 114)
    entrance_margin: float = 0.0
    label_kinds: tuple[str, ...] = ()
    local_contrast: dict | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    units: str = (
        'pixels of the image handed over; the centre of its first pixel is (0, 0); scores in [0, 1]'
    )
    precision: str = 'fp32'
    version: str = ''
    exporter: str = ''
    config_sha256: str = ''
    format_version: int = FORMAT_VERSION

    def to_metadata(self) -> dict[str, str]:
        """As texts by key, for the file."""
        return {f'mmdet_ext.{key}': json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], path: str) -> 'ExportedModel':
        """Read the texts of a file.

        Raises:
            ValueError: They are not ours, or of another version.
        """
        version = metadata.get('mmdet_ext.format_version')
        if version is None:
            raise ValueError(
                f'{path} says nothing of where it comes from: give a file that tools/export.py wrote.'
            )
        if version != str(FORMAT_VERSION):
            raise ValueError(
                f'{path} is in format {version}, but this runtime reads format {FORMAT_VERSION}: export '
                'it again, or install the version of mmdet_ext that wrote it '
                f'({json.loads(metadata.get("mmdet_ext.version", "null"))}).'
            )
        texts = {f.name: metadata.get(f'mmdet_ext.{f.name}') for f in fields(cls)}
        return cls(**{name: json.loads(text) for name, text in texts.items() if text is not None})
