"""A parking-slot detector from a uint8 image to slots and points, as one graph."""

import hashlib

from mmengine.config import Config
from torch import Tensor, nn

import mmdet_ext
from mmdet_ext.datasets.formats.parking_slot_coco import LABEL_KINDS
from mmdet_ext.datasets.parking_slot_dataset import ParkingSlotDataset
from mmdet_ext.deploy.file_format import OUTPUTS, ExportedModel
from mmdet_ext.deploy.letterbox import Letterbox

_IN_THE_FILE = ('ParkingSlotAffine', 'LocalContrast', 'PackParkingSlotInputs')


class ParkingSlotGraph(nn.Module):
    """Normalisation, network, decoding, suppression and what lies outside the image, in one module.

    Args:
        model: A :class:`~mmdet_ext.models.detectors.ParkingSlotDetector` in evaluation mode.
        cfg: Its config, whose ``test_pipeline`` says how images are prepared.
        dataset_meta: As its checkpoint has it.
        input_size: Width and height of the images to come; None: what the network sees.
        any_size: Take images of any size, which the graph resizes.
        raw: Return the maps of the head instead.

    Attributes:
        network_size: Width and height that the network sees.
        input_size: Of the images to come; an example of them for ``any_size``.
        input_names: ``images``: BGR, ``(B, H, W, 3)``, uint8.
        output_names: See :data:`~mmdet_ext.deploy.file_format.OUTPUTS`.

    Raises:
        ValueError: The ``test_pipeline`` has a step that no file can hold.
    """

    input_names = ('images',)

    def __init__(
        self,
        model: nn.Module,
        cfg: Config,
        dataset_meta: dict,
        input_size: tuple[int, int] | None = None,
        any_size: bool = False,
        raw: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.raw, self.any_size = model, raw, any_size
        self._cfg = cfg
        self._meta = {**ParkingSlotDataset.METAINFO, 'label_kinds': LABEL_KINDS, **dataset_meta}
        steps = _steps(cfg)
        self._local_contrast = steps.get('LocalContrast')
        self.network_size = tuple(steps['ParkingSlotAffine']['size'])
        self.input_size = tuple(input_size or self.network_size)
        self.kind = 'raw' if raw else 'parking_slots'
        self.output_names = OUTPUTS[self.kind]
        preprocessor = model.data_preprocessor
        self._order = [2, 1, 0] if preprocessor._channel_conversion else [0, 1, 2]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Find slots and points.

        Args:
            images: BGR, ``(B, H, W, 3)``, uint8, of ``input_size``.

        Returns:
            In the order of ``output_names``: ``corners (B, M, 4, 2)``, ``labels``, ``scores``,
            ``occupied_scores (B, M)``, ``points (B, N, 2)``, ``point_scores (B, N)``,
            ``directions (B, N, 2)``, ``shapes (B, N)``, positions in pixels of the images; what has
            a score of 0 is padding. Raw: point maps and slot maps, see :meth:`PSDHead.forward`.
        """
        preprocessor, head = self.model.data_preprocessor, self.model.bbox_head
        source = tuple(images.shape[1:3]) if self.any_size else self.input_size[::-1]
        letterbox = Letterbox(source, self.network_size)
        pixels = letterbox.resize(images)[:, self._order]
        features = self.model.extract_feat((pixels - preprocessor.mean) / preprocessor.std)
        maps = head(features)
        if self.raw:
            return maps
        points, slots = head.decode(*maps)
        corners = letterbox.back(slots['corners'])
        scores = slots['scores'] * self._enter_inside(corners, *source)
        return (
            *(corners, slots['labels'], scores, slots['occupied_scores']),
            *(letterbox.back(points['points']), points['scores']),
            *(points['directions'], points['shapes']),
        )

    def _enter_inside(self, corners: Tensor, height: int, width: int) -> Tensor:
        """Whether the entrances lie inside the image, as 0 or 1: ``(B, M)``."""
        margin = self.model.bbox_head.decoding.entrance_margin * height / 600
        x, y = corners[:, :, :2].unbind(-1)
        inside = (x >= -margin) & (x <= width + margin) & (y >= -margin) & (y <= height + margin)
        return inside.to(corners.dtype).amin(-1)

    def describe(self, exporter: str) -> ExportedModel:
        """What the file will say of itself."""
        preprocessor, decoding = self.model.data_preprocessor, self.model.bbox_head.decoding

        def per_channel(values: Tensor) -> tuple[float, ...]:
            return tuple(values.flatten()[self._order].tolist())

        return ExportedModel(
            kind=self.kind,
            classes=tuple(self._meta['classes']),
            palette=[tuple(colour) for colour in self._meta['palette']],
            input_size=None if self.any_size else self.input_size,
            network_size=self.network_size,
            score_threshold=decoding.score_thr,
            entrance_margin=decoding.entrance_margin,
            label_kinds=tuple(self._meta['label_kinds']),
            local_contrast=self._local_contrast,
            mean=per_channel(preprocessor.mean),
            std=per_channel(preprocessor.std),
            version=mmdet_ext.__version__,
            exporter=exporter,
            config_sha256=hashlib.sha256(self._cfg.pretty_text.encode()).hexdigest(),
        )


def _steps(cfg: Config) -> dict[str, dict]:
    """Arguments of the steps of the test pipeline by type, without those that load."""
    pipeline = cfg.get('test_pipeline') or cfg.test_dataloader.dataset.pipeline
    steps = {step['type']: {k: v for k, v in step.items() if k != 'type'} for step in pipeline}
    steps = {name: options for name, options in steps.items() if not name.startswith('Load')}
    foreign = [name for name in steps if name not in _IN_THE_FILE]
    if foreign or list(steps.get('ParkingSlotAffine', {})) != ['size']:
        raise ValueError(
            f'`test_pipeline` has {", ".join(foreign) or "no plain resize by ParkingSlotAffine"}, which '
            f'an exported file cannot do; it may have {", ".join(_IN_THE_FILE)} after the loading '
            'steps: change it in a config of your own.'
        )
    return steps
