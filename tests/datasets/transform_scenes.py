"""Pictures whose pixels say where they come from, with labels: what transforms are checked against."""

import numpy as np
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from scipy.ndimage import map_coordinates

from mmdet_ext.datasets.transforms import LoadParkingSlotAnnotations
from mmdet_ext.structures.marking_points import SHAPES

T, L = SHAPES.index('T'), SHAPES.index('L')
HEIGHT, WIDTH = 128, 160
INSIDE = 200  # third channel of every pixel that shows the picture


def build(cfg):
    return TRANSFORMS.build(cfg)


def coordinate_image(height=HEIGHT, width=WIDTH, number=INSIDE):
    """Pixels hold their own x and y; the third channel holds a number."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y, np.full_like(x, number)], -1)


def slot_results(height=HEIGHT, width=WIDTH, number=INSIDE):
    """Four slots of two slants on seven marking points; ``gt_occupied`` numbers the slots."""
    lower = np.array([[20.0, 110.0], [60.0, 110.5], [100.0, 111.0], [140.0, 111.5]])
    upper = np.array([[120.3, 15.0], [80.0, 15.5], [38.0, 16.0]])
    points = np.vstack([lower, upper]) * (width / WIDTH, height / HEIGHT)
    links = np.array([[0, 1], [2, 3], [4, 5], [5, 6]])
    reach = np.array([[10.0, -40.0], [0.0, -45.0], [0.0, 40.0], [0.0, 40.0]])
    reach = reach * (width / WIDTH, height / HEIGHT)
    p1, p2 = points[links[:, 0]], points[links[:, 1]]
    corners = np.stack([p1, p2, p2 + reach, p1 + reach], 1)
    into = np.array([reach[0], reach[0], reach[1], reach[1], reach[2], reach[2], reach[3]])
    record = {
        'points': points,
        'directions': into / np.linalg.norm(into, axis=1, keepdims=True),
        'shapes': np.array([L, T, L, T, L, T, T]),
        'corners': corners,
        'slot_types': np.array([2, 0, 0, 0]),
        'occupied': np.arange(4),
        'slot_points': links,
    }
    results = {'img': coordinate_image(height, width, number), 'parking': record}
    results['img_shape'] = (height, width)
    results['label_kinds'] = ('marking_points', 'slots')
    return LoadParkingSlotAnnotations()(results)


BOXES = np.array([[10, 20, 50, 60], [70, 8, 90, 100], [100, 90, 155, 120]], np.float32)


def box_results(polygons=False):
    """Three boxes that are the extents of their masks, with two keypoints each."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = [(x >= a) & (y >= b) & (x < c) & (y < d) for a, b, c, d in BOXES.astype(int)]
    masks = BitmapMasks(np.stack(inside).astype(np.uint8), HEIGHT, WIDTH)
    if polygons:
        rings = [[np.array([a, b, c, b, c, d, a, d], np.float32)] for a, b, c, d in BOXES]
        masks = PolygonMasks(rings, HEIGHT, WIDTH)
    corners = (
        BOXES[:, [0, 1, 2, 3]].reshape(-1, 2, 2) * 0.8
        + BOXES.reshape(-1, 2, 2).mean(1)[:, None] * 0.2
    )
    return {
        'img': coordinate_image(),
        'img_shape': (HEIGHT, WIDTH),
        'gt_bboxes': HorizontalBoxes(BOXES.copy()),
        'gt_bboxes_labels': np.arange(3),
        'gt_ignore_flags': np.zeros(3, bool),
        'gt_masks': masks,
        'gt_seg_map': np.select(inside, [1, 2, 3]).astype(np.uint8),
        'gt_keypoints': np.concatenate([corners, np.full((3, 2, 1), 2)], -1),
    }


def empty_results():
    """A picture with no box at all, as LoadAnnotations leaves it."""
    return {
        'img': np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        'img_shape': (HEIGHT, WIDTH),
        'gt_bboxes': HorizontalBoxes(np.zeros((0, 4), np.float32)),
        'gt_bboxes_labels': np.zeros(0, np.int64),
        'gt_ignore_flags': np.zeros(0, bool),
        'gt_masks': BitmapMasks(np.zeros((0, HEIGHT, WIDTH), np.uint8), HEIGHT, WIDTH),
        'gt_keypoints': np.zeros((0, 2, 3)),
    }


def empty_slots():
    """A picture with neither slots nor marking points."""
    results = slot_results()
    for key in results:
        if key.startswith('gt_'):
            results[key] = results[key][:0]
    return results


def source_of(image, points):
    """What the picture shows at points (pixel centres): source x, source y and the third channel.

    Args:
        image: A transformed :func:`coordinate_image`.
        points: Shape ``(N, 2)``.

    Returns:
        Sources ``(N, 2)``, their derivatives ``(N, 2, 2)`` (rows: source x, y), third channel ``(N,)``;
        NaN within 2 pixels of the border, or where something else shows through.
    """
    points = np.asarray(points, float).reshape(-1, 2)

    def sample(shift):
        at = (points + shift).T[::-1]
        planes = [
            map_coordinates(image[..., i], at, np.float64, order=1, cval=-1) for i in range(3)
        ]
        return np.stack(planes, -1)

    here = sample((0, 0))
    dx = (sample((1, 0)) - sample((-1, 0))) / 2
    dy = (sample((0, 1)) - sample((0, -1))) / 2
    size = np.array(image.shape[1::-1])
    clear = ((points >= 2) & (points <= size - 3)).all(1) & (here[:, 2] > 0.5)
    for shift in ((0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)):
        clear &= np.abs(sample(shift)[:, 2] - here[:, 2]) < 0.1
    derivatives = np.stack([dx[:, :2], dy[:, :2]], -1)
    return (
        np.where(clear[:, None], here[:, :2], np.nan),
        derivatives,
        np.where(clear, here[:, 2], np.nan),
    )


def misplaced(image, points, expected_sources):
    """Distance in pixels of the picture between points and where their sources really are.

    Returns:
        Shape ``(N,)``, NaN where the picture does not tell.
    """
    sources, derivatives, _ = source_of(image, points)
    told = ~np.isnan(sources[:, 0]) & (np.abs(np.linalg.det(derivatives)) > 1e-6)
    result = np.full(len(sources), np.nan)
    gap = (np.asarray(expected_sources) - sources)[told]
    result[told] = np.linalg.norm(
        np.linalg.solve(derivatives[told], gap[..., None])[..., 0], axis=1
    )
    return result
