"""The NMS variants as loops over Python numbers, written from the papers, and random boxes for them."""

import math
import random

import torch


def random_sets(count, seed=0, grid=True, largest=12):
    """Boxes, scores and set numbers of many small sets of boxes, as float64 tensors.

    On the grid coordinates are whole numbers from -8 on, so that boxes are often the same, empty or
    inside out, IoUs are often exactly a half, and scores are often equal.
    """
    generator = random.Random(seed)
    boxes, scores, labels = [], [], []
    for number in range(count):
        for _ in range(generator.randint(1, largest)):
            if grid:
                x, y = generator.randint(-8, 2), generator.randint(-8, 2)
                boxes.append([x, y, x + generator.randint(-1, 6), y + generator.randint(-1, 6)])
                scores.append(generator.randint(0, 10) / 10)
            else:
                x, y = generator.uniform(-8, 2), generator.uniform(-8, 2)
                boxes.append([x, y, x + generator.uniform(1, 9), y + generator.uniform(1, 9)])
                scores.append(generator.uniform(0, 1))
            labels.append(number)
    order = list(range(len(boxes)))
    generator.shuffle(order)
    tensors = (torch.tensor(values, dtype=torch.float64) for values in (boxes, scores))
    return *(values[order] for values in tensors), torch.tensor(labels)[order]


def each_set(boxes, scores, labels, select):
    """Apply a reference to each set.

    It gets boxes and scores, best first, and their positions in the input, and gives lists of the
    place of what is kept, its box and its score. Returns {position: (box, score)}.
    """
    rows = list(zip(boxes.tolist(), scores.tolist(), range(len(boxes)), strict=True))
    sets = {}
    for label, row in zip(labels.tolist(), rows, strict=True):
        sets.setdefault(label, []).append(row)
    found = {}
    for members in sets.values():
        members.sort(key=lambda row: (-row[1], row[0]))
        b, s, positions = (list(part) for part in zip(*members, strict=True))
        for place, box, score in select(b, s, positions):
            found[positions[place]] = (box, score)
    return found


def iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    if width * height == 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def distance(a, b, beta):
    centres = [(a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2]
    diagonal = [max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])]
    squares = diagonal[0] ** 2 + diagonal[1] ** 2
    return ((centres[0] ** 2 + centres[1] ** 2) / squares) ** beta if squares else 0.0


def greedy(boxes, too_much):
    """Places that survive when a kept box removes those for which ``too_much(kept, other)``."""
    left, kept = list(range(len(boxes))), []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [other for other in left if not too_much(best, other)]
    return kept


def plain(boxes, threshold):
    return greedy(boxes, lambda i, j: iou(boxes[i], boxes[j]) > threshold)


def mean_box(boxes, weights):
    total = sum(weights)
    return [
        sum(w * b[axis] for w, b in zip(weights, boxes, strict=True)) / total for axis in range(4)
    ]


def nms(threshold=0.5):
    def select(boxes, scores, _):
        return [(i, boxes[i], scores[i]) for i in plain(boxes, threshold)]

    return select


def diou(threshold=0.5, beta=1.0):
    def select(boxes, scores, _):
        def too_much(i, j):
            return iou(boxes[i], boxes[j]) - distance(boxes[i], boxes[j], beta) > threshold

        return [(i, boxes[i], scores[i]) for i in greedy(boxes, too_much)]

    return select


def adaptive(density, threshold=0.5):
    """``density`` is a list by position."""

    def select(boxes, scores, positions):
        def too_much(i, j):
            return iou(boxes[i], boxes[j]) > max(threshold, density[positions[i]])

        return [(i, boxes[i], scores[i]) for i in greedy(boxes, too_much)]

    return select


def estimated_density(boxes, scores, _):
    """Density of each box as its greatest overlap, up to 0.7, with what NMS at 0.7 keeps."""
    objects = plain(boxes, 0.7)
    for i, box in enumerate(boxes):
        overlaps = [iou(boxes[j], box) for j in objects if scores[j] >= 0.5 * scores[i]]
        yield i, box, max([overlap for overlap in overlaps if overlap <= 0.7], default=0.0)


def softer(variance, sigma_t=0.02, threshold=0.5, keep=None):
    """``variance`` is a list by position; ``keep`` gives places and scores of what is kept."""

    def select(boxes, scores, positions):
        kept = keep(boxes, scores) if keep else [(i, scores[i]) for i in plain(boxes, threshold)]
        for i, score in kept:
            near = [j for j in range(len(boxes)) if iou(boxes[i], boxes[j]) > 0]
            votes = [math.exp(-((1 - iou(boxes[i], boxes[j])) ** 2) / sigma_t) for j in near]
            moved = list(boxes[i])
            for axis in range(4) if near else ():
                weights = [
                    v / variance[positions[j]][axis] for v, j in zip(votes, near, strict=True)
                ]
                moved[axis] = mean_box([boxes[j] for j in near], weights)[axis]
            yield i, moved, score

    return select


def soft(method, threshold=0.5, sigma=0.5, min_score=1e-3):
    """Bodla et al.: Soft-NMS, ICCV 2017."""

    def keep(boxes, scores):
        scores, left = list(scores), list(range(len(boxes)))
        while left:
            best = max(left, key=lambda i: scores[i])
            left.remove(best)
            if scores[best] < min_score:
                break
            yield best, scores[best]
            for i in left:
                overlap = iou(boxes[best], boxes[i])
                if method == 'gaussian':
                    scores[i] *= math.exp(-(overlap**2) / sigma)
                elif overlap > threshold:
                    scores[i] *= 1 - overlap

    return keep


def weighted(threshold=0.5, by_iou=True):
    def select(boxes, scores, _):
        free = set(range(len(boxes)))
        for i in plain(boxes, threshold):
            group = [i] + [j for j in free - {i} if iou(boxes[i], boxes[j]) > threshold]
            free -= set(group)
            weights = [
                scores[j] * (iou(boxes[i], boxes[j]) if by_iou and j != i else 1) for j in group
            ]
            mean = mean_box([boxes[j] for j in group], weights) if sum(weights) else boxes[i]
            yield i, mean, scores[i]

    return select


def matrix(kernel='gaussian', sigma=2.0, min_score=0.05):
    def f(x):
        return math.exp(-sigma * x * x) if kernel == 'gaussian' else 1 - x

    def select(boxes, scores, _):
        for j in range(len(boxes)):
            decay = 1.0
            for i in range(j):
                compensation = max((iou(boxes[k], boxes[i]) for k in range(i)), default=0)
                if f(compensation) > 0:
                    decay = min(decay, f(iou(boxes[i], boxes[j])) / f(compensation))
            if scores[j] * decay >= min_score:
                yield j, boxes[j], scores[j] * decay

    return select


def cluster(threshold=0.5, beta=None, score_penalty=False, weighted=False, min_score=0.01):
    def select(boxes, scores, _):
        by_distance = beta is not None and not score_penalty

        def too_much(i, j):
            apart = distance(boxes[i], boxes[j], beta) if by_distance else 0
            return iou(boxes[i], boxes[j]) - apart > threshold

        kept, scores = greedy(boxes, too_much), list(scores)
        if score_penalty:
            for i in kept:
                for j in range(i + 1, len(boxes)):
                    overlap = iou(boxes[i], boxes[j])
                    apart = distance(boxes[i], boxes[j], beta) if beta else 0
                    scores[j] *= min(1, math.exp(-(overlap**2) / 0.2) + (apart if overlap else 0))
        for i in range(len(boxes)) if score_penalty else kept:
            box = boxes[i]
            if weighted and i in kept:
                worse = range(i + 1, len(boxes))
                near = [i, *(j for j in worse if iou(boxes[i], boxes[j]) > 0.8)]
                weights = [scores[j] * (iou(boxes[i], boxes[j]) if j != i else 1) for j in near]
                box = mean_box([boxes[j] for j in near], weights) if sum(weights) else box
            if not score_penalty or scores[i] >= min_score:
                yield i, box, scores[i]

    return select
