"""Stock single-stage detectors as one graph: from images to boxes after suppression."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.detectors import SingleStageDetector
from mmdet.visualization import get_palette
from mmengine.config import Config
from torch import Tensor, nn

import mmdet_ext
from mmdet_ext.deploy.file_format import OUTPUTS, ExportedModel
from mmdet_ext.deploy.stock_decoding import decoder_of, priors_of
from mmdet_ext.deploy.stock_suppression import check_exportable_nms, suppress

_MAX_PER_IMAGE = 100  # what COCO's metric looks at, for a head that names no limit, such as YOLOX's
_STEPS = ('Load', 'Pack')


class StockDetectorGraph(nn.Module):
    """A detector of mmdet with its normalisation, decoding and suppression, to be exported.

    Works for every :class:`SingleStageDetector` whose head decodes as ``BaseDenseHead`` does (RetinaNet,
    FCOS, ATSS, RTMDet, SSD, FreeAnchor, FSAF, YOLOF, ...) or as the heads of GFL, FoveaBox, YOLOX or YOLOv3.
    All shapes are fixed but that of the batch, there is no control flow, and the suppression is ONNX's
    ``NonMaxSuppression``.

    mmdet clips boxes to the image before suppression, the graph to the whole input: clip them to the image
    afterwards.

    Args:
        model: The detector with its weights, in evaluation mode.
        cfg: Its config; the test pipeline says how an image becomes the input.
        dataset_meta: ``classes`` and ``palette`` as a checkpoint holds them; without them classes are numbered.
        input_size: Width and height of the network's input in pixels; by default as in the test pipeline.

    Attributes:
        fit: How an image becomes the input.
        input_size: Width and height of the images to give, in pixels.
        network_size: The same.
        input_names: ``images``.
        output_names: See :data:`~mmdet_ext.deploy.file_format.OUTPUTS`.

    Raises:
        ValueError: The detector, its suppression or its test pipeline cannot be exported.
    """

    kind = 'boxes'
    any_size = False
    input_names = ('images',)
    output_names = OUTPUTS[kind]

    def __init__(
        self,
        model: nn.Module,
        cfg: Config,
        dataset_meta: Mapping | None = None,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        check_exportable(model)
        self._model, meta = model, dataset_meta or {}
        numbers = map(str, range(model.bbox_head.num_classes))
        self._classes = tuple(meta.get('classes') or numbers)
        palette = get_palette(meta.get('palette') or 'random', len(self._classes))
        self._palette = [tuple(map(int, colour)) for colour in palette]
        self._cfg = model.bbox_head.test_cfg
        self._max_per_image = self._cfg.get('max_per_img', _MAX_PER_IMAGE)
        self.fit = fit_of_pipeline(cfg, model.data_preprocessor, input_size)
        self.input_size = self.network_size = self.fit.size
        self._config_text = cfg.pretty_text
        self._decode = decoder_of(model.bbox_head)
        self._add_priors()

    @torch.no_grad()
    def _add_priors(self) -> None:
        width, height = self.input_size
        blank = torch.zeros(1, height, width, 3, dtype=torch.uint8)
        blank = blank.to(next(self._model.parameters()).device)
        head = self._model.bbox_head
        classes = head(self._model.extract_feat(self._normalised(blank)))[0]
        priors = priors_of(head, [level.shape[-2:] for level in classes], classes[0])
        for i, level in enumerate(priors):
            self.register_buffer(f'_priors_{i}', level, persistent=False)
        self._levels = len(priors)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            images: ``(B, H, W, 3)``, uint8, BGR, of :attr:`input_size`.

        Returns:
            Boxes ``(B, K, 4)``, ``x1 y1 x2 y2`` in pixels of the input; scores ``(B, K)``, descending; and
            labels ``(B, K)``, int64. K is ``max_per_img`` of the ``test_cfg`` (100 where there is none), or
            the number of candidates if that is less. Where an image has fewer boxes, all three are 0.
        """
        outputs = self._model.bbox_head(self._model.extract_feat(self._normalised(images)))
        priors = [getattr(self, f'_priors_{i}') for i in range(self._levels)]
        found = self._decode(self._model.bbox_head, self._cfg, outputs, priors, self.input_size)
        return suppress(
            found.boxes, found.scores, found.labels, self._cfg['nms'], self._max_per_image
        )

    def _normalised(self, images: Tensor) -> Tensor:
        preprocessor = self._model.data_preprocessor
        images = images.permute(0, 3, 1, 2).float()
        if preprocessor._channel_conversion:
            images = images.flip(1)
        if preprocessor._enable_normalize:
            images = (images - preprocessor.mean) / preprocessor.std
        divisor = preprocessor.pad_size_divisor
        right, bottom = (-side % divisor for side in self.input_size)
        return nn.functional.pad(images, (0, right, 0, bottom), value=preprocessor.pad_value)

    def describe(self, exporter: str) -> ExportedModel:
        """What the file will say of itself.

        The score threshold is 0 there: that of the ``test_cfg`` is in the graph, where heads with a
        centredness or an objectness apply it before they multiply.
        """
        preprocessor = self._model.data_preprocessor
        normalised = preprocessor._enable_normalize
        return ExportedModel(
            kind=self.kind,
            classes=self._classes,
            palette=self._palette,
            input_size=self.input_size,
            network_size=self.network_size,
            score_threshold=0.0,
            placement='top_left' if self.fit.keep_ratio else 'stretch',
            padding=self.fit.pad_value,
            mean=_of_image(preprocessor, preprocessor.mean) if normalised else (),
            std=_of_image(preprocessor, preprocessor.std) if normalised else (),
            version=mmdet_ext.__version__,
            exporter=exporter,
            config_sha256=hashlib.sha256(self._config_text.encode()).hexdigest(),
        )


def _of_image(preprocessor: DetDataPreprocessor, channels: Tensor) -> tuple[float, ...]:
    """Values per channel of the network's input in the order of the image's, BGR."""
    values = channels.flatten().tolist()
    return tuple(values[::-1] if preprocessor._channel_conversion else values)


def check_exportable(model: nn.Module) -> None:
    """Refuse a detector that cannot become a graph.

    Args:
        model: A detector.

    Raises:
        ValueError: With the module that is in the way, and why.
    """
    name = type(model).__name__
    if not (
        isinstance(model, SingleStageDetector)
        and type(model).predict is SingleStageDetector.predict
        and type(model).extract_feat is SingleStageDetector.extract_feat
    ):
        raise ValueError(
            f'{name} cannot be exported: {_why_not_single_stage(model)}; detectors of one stage can, such '
            'as RetinaNet, FCOS, YOLOX and RTMDet.'
        )
    for path, module in model.named_modules():
        if type(module).__module__.startswith('mmcv.ops'):
            raise ValueError(
                f'{name} cannot be exported: its `{path}` is a {type(module).__name__} of mmcv.ops, which no '
                'ONNX runtime knows; choose a config without it.'
            )
    if decoder_of(model.bbox_head) is None:
        raise ValueError(
            f'{name} cannot be exported: its `bbox_head`, a {type(model.bbox_head).__name__}, makes boxes in a '
            'way of its own, which mmdet_ext/deploy/stock_decoding.py does not have.'
        )
    if type(model.data_preprocessor) is not DetDataPreprocessor:
        raise ValueError(
            f'{name} cannot be exported: its `data_preprocessor` is a '
            f'{type(model.data_preprocessor).__name__}, and only DetDataPreprocessor can be.'
        )
    check_exportable_nms(model.bbox_head.test_cfg.get('nms'))


def _why_not_single_stage(model: nn.Module) -> str:
    if hasattr(model, 'roi_head'):
        return (
            f'its `roi_head`, a {type(model.roi_head).__name__}, looks at proposals, whose number changes from '
            'image to image'
        )
    if hasattr(model, 'decoder'):
        return f'its `decoder`, a {type(model.decoder).__name__}, is a transformer over queries'
    return 'it predicts in a way of its own, not by one dense head'


@dataclass
class InputFit:
    """How an image becomes the network's input.

    Attributes:
        size: Width and height of the input, in pixels.
        keep_ratio: Scale both sides alike, put the image in the top left, and fill the rest.
        pad_value: Pixel to fill the rest with, BGR.
    """

    size: tuple[int, int]
    keep_ratio: bool
    pad_value: tuple[int, int, int]


def fit_of_pipeline(
    cfg: Config, preprocessor: DetDataPreprocessor, size: tuple[int, int] | None = None
) -> InputFit:
    """Read from a test pipeline how it makes the network's input.

    Args:
        cfg: A config of mmdet.
        preprocessor: The detector's.
        size: Width and height to use instead of the pipeline's.

    Raises:
        ValueError: There is a step besides loading, ``Resize``, ``Pad`` and packing, or no size.
    """
    pipeline = cfg.get('test_pipeline') or cfg.test_dataloader.dataset.pipeline
    steps = {step['type']: step for step in pipeline if not step['type'].startswith(_STEPS)}
    for name in steps:
        if name not in ('Resize', 'Pad'):
            raise ValueError(
                f'the test pipeline has a step {name}, which would be missing in the exported file: leave '
                'only loading, Resize, Pad and packing in it.'
            )
    resize, pad = steps.get('Resize', {}), steps.get('Pad', {})
    found = size or pad.get('size') or resize.get('scale')
    if not found:
        raise ValueError(
            'the test pipeline resizes to no fixed size: give the width and height of the input.'
        )
    divisor = max(pad.get('size_divisor') or 1, preprocessor.pad_size_divisor)
    keep_ratio = bool(resize.get('keep_ratio'))
    if keep_ratio or pad:
        found = [-(-side // divisor) * divisor for side in found]
    return InputFit(tuple(found), keep_ratio, _pad_pixel(pad, preprocessor))


def _pad_pixel(pad: Mapping, preprocessor: DetDataPreprocessor) -> tuple[int, int, int]:
    """The filling of the pipeline, or the pixel that the preprocessor's becomes when it is normalised."""
    value = pad.get('pad_val', 0 if pad else None)
    value = value.get('img', 0) if isinstance(value, Mapping) else value
    if value is not None:
        return tuple(map(int, [value] * 3 if isinstance(value, int | float) else value))
    pixel = torch.full((3,), float(preprocessor.pad_value))
    if preprocessor._enable_normalize:
        pixel = pixel * preprocessor.std.flatten().cpu() + preprocessor.mean.flatten().cpu()
    return tuple(round(min(max(value, 0), 255)) for value in _of_image(preprocessor, pixel))
