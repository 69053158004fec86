"""Random detections and truths for the tests of the detection functions."""

import numpy as np

from mmdet_ext.evaluation.functional.detections import Detections, Truths, box_areas


def boxes(rng, count, size=200):
    corner, extent = rng.uniform(0, size, (count, 2)), rng.uniform(8, 220, (count, 2))
    return np.hstack([corner, corner + extent])


def random_scene(seed, images=8, classes=3, truths=60, crowds=0.1):
    """Half of the predictions lie near a truth, mostly of its class; scores are distinct."""
    rng = np.random.default_rng(seed)
    true_boxes = boxes(rng, truths)
    truth = Truths(
        rng.integers(0, images, truths),
        rng.integers(0, classes, truths),
        true_boxes,
        box_areas(true_boxes) * rng.uniform(0.5, 1, truths),
        rng.random(truths) < crowds,
    )
    near = rng.integers(0, truths, 2 * truths)
    found = Detections(
        np.concatenate([truth.images[near], rng.integers(0, images, truths)]),
        np.concatenate([truth.labels[near], rng.integers(0, classes, truths)]),
        np.concatenate([true_boxes[near] + rng.normal(0, 9, (2 * truths, 4)), boxes(rng, truths)]),
        rng.permutation(3 * truths) / (3 * truths),
    )
    found.boxes[:, 2:] = np.maximum(found.boxes[:, 2:], found.boxes[:, :2] + 1)
    wrong = rng.random(3 * truths) < 0.1
    found.labels[wrong] = rng.integers(0, classes, wrong.sum())
    return found, truth


def shuffled(seed, detections, truths):
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(detections.scores)), rng.permutation(len(truths.labels))
    return detections.select(rows), truths.select(columns), rows, columns


def detections_of(*rows):
    """Rows of image, label, score, x1, y1, x2, y2."""
    table = np.array(rows, float).reshape(-1, 7)
    return Detections(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 3:], table[:, 2])


def truths_of(*rows, crowd=()):
    """Rows of image, label, x1, y1, x2, y2; ``crowd`` names the rows that are crowds."""
    table = np.array(rows, float).reshape(-1, 6)
    flags = np.isin(np.arange(len(table)), crowd)
    return Truths(
        table[:, 0].astype(int),
        table[:, 1].astype(int),
        table[:, 2:],
        box_areas(table[:, 2:]),
        flags,
    )
