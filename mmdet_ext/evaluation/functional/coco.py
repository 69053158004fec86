"""COCO's average precision of parking slots by their masks and by their keypoints."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec

import numpy as np
import shapely
from pycocotools import mask as masks

from mmdet_ext.evaluation.functional.polygons import polygons_of

BACKENDS = ('pycocotools', 'faster_coco_eval')
OKS_SIGMAS = (0.025, 0.025, 0.025, 0.025)
"""On a slot of 150 x 300 px a corner scores 0.64 when it is off by 10 px and 0.17 by 20 px."""
_FAR = 1e7  # pixels; scores 0, and its square is still finite


def corner_masks(corners: np.ndarray, sizes: np.ndarray) -> list[dict]:
    """Masks of quadrilaterals, clipped to their images, as run lengths.

    Args:
        corners: Shape ``(N, 4, 2)`` in pixels; one that is not finite, has no area or lies outside
            gets an empty mask.
        sizes: Width and height of the image of each in pixels, ``(N, 2)``.

    Returns:
        N masks as pycocotools has them.
    """
    clipped = shapely.intersection(polygons_of(corners), shapely.box(0, 0, *sizes.T))
    return [
        _mask(shapely.get_parts(polygon), int(height), int(width))
        for polygon, (width, height) in zip(clipped, sizes, strict=True)
    ]


def _mask(parts: np.ndarray, height: int, width: int) -> dict:
    rings = [shapely.get_coordinates(part)[:-1].ravel() for part in parts if part.area > 0]
    if not rings:
        empty = {'size': [height, width], 'counts': [height * width]}
        return masks.frPyObjects(empty, height, width)
    return masks.merge(masks.frPyObjects([ring.tolist() for ring in rings], height, width))


def corner_keypoints(corners: np.ndarray) -> list[list[float]]:
    """Corners ``(N, 4, 2)`` as COCO keypoints ``x, y, v``; what is not finite lies far away."""
    finite = np.isfinite(corners).all((1, 2))[:, None, None]
    places = np.where(finite, corners.clip(-_FAR, _FAR), -_FAR)
    flags = np.full((len(corners), 4, 1), 2.0)
    return np.concatenate([places, flags], axis=-1).reshape(len(corners), 12).tolist()


def coco_average_precision(
    truth: dict,
    detections: list[dict],
    iou_type: str,
    image_ids: Sequence[int],
    sigmas: Sequence[float] = OKS_SIGMAS,
    backend: str | None = None,
) -> dict[str, float]:
    """Average precision as pycocotools computes it.

    Args:
        truth: Content of a COCO file.
        detections: Results as COCO has them: ``image_id``, ``category_id``, ``score`` and
            ``segmentation`` or ``keypoints``.
        iou_type: ``'segm'`` or ``'keypoints'``.
        image_ids: Images to evaluate.
        sigmas: Standard deviation of each keypoint's label over the root of the object's area.
        backend: One of :data:`BACKENDS`, which give the same numbers; None: the fastest installed.

    Returns:
        ``mAP``, ``mAP_50``, ``mAP_75`` and by area ``mAP_s`` (masks only), ``mAP_m``, ``mAP_l``; -1
        without truths, as in COCO.
    """
    coco_class, evaluator_class = _backend(backend)
    with redirect_stdout(io.StringIO()):  # pycocotools prints
        coco_truth = _indexed(coco_class, truth, truth['annotations'])
        coco_found = coco_truth.loadRes(detections) if detections else None
        evaluator = evaluator_class(
            coco_truth, coco_found or _indexed(coco_class, truth, []), iou_type
        )
        evaluator.params.imgIds = list(image_ids)
        evaluator.params.kpt_oks_sigmas = np.array(sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
    return _figures(evaluator)


def _backend(name: str | None) -> tuple[type, type]:
    if name == 'faster_coco_eval' or (name is None and find_spec('faster_coco_eval')):
        from faster_coco_eval import COCO, COCOeval_faster  # noqa: PLC0415 (optional)

        return COCO, COCOeval_faster
    from pycocotools.coco import COCO  # noqa: PLC0415 (only one of the two)
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415 (only one of the two)

    return COCO, COCOeval


def _indexed(coco_class: type, content: dict, annotations: list[dict]) -> object:
    """A COCO object of its own copies, for the evaluators write into annotations."""
    coco = coco_class()
    numbered = [ann | {'id': number} for number, ann in enumerate(annotations, 1)]  # 0 is no match
    coco.dataset = content | {'annotations': numbered}
    coco.createIndex()
    return coco


def _figures(evaluator: object) -> dict[str, float]:
    params = evaluator.params
    precision = np.asarray(evaluator.eval['precision'])[..., -1]  # (iou, recall, class, area)

    def mean(ious: object = slice(None), area: str = 'all') -> float:
        values = precision[ious][..., params.areaRngLbl.index(area)]
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    at = {iou: np.flatnonzero(np.isclose(params.iouThrs, iou)) for iou in (0.5, 0.75)}
    figures = {'mAP': mean(), 'mAP_50': mean(at[0.5]), 'mAP_75': mean(at[0.75])}
    areas = [area for area in params.areaRngLbl if area != 'all']
    return figures | {f'mAP_{area[0]}': mean(area=area) for area in areas}
