"""A data pipeline run step by step: what comes out of each transform, and what it drew at random."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

_PREFIXES = ('_', 'random_', 'rand_', 'get_')


@dataclass
class Stage:
    """What one transform did to one picture.

    Attributes:
        name: Class name of the transform.
        results: What it returned; None if it dropped the picture or failed. The next stage may
            change it in place.
        drawn: What it drew at random, one line each: the map of the image where there is one, else
            the values of its random methods; names of the transforms in it that ran.
        error: What it raised.
    """

    name: str
    results: dict | None
    drawn: tuple[str, ...] = ()
    error: Exception | None = None


def pipeline_of(dataset: Any, index: int) -> list[Callable]:
    """Transforms that an image of a dataset goes through, wrappers of datasets unwrapped.

    Args:
        dataset: A ``BaseDataset``, or a Concat-, Repeat-, ClassBalanced- or MultiImageMixDataset of
            such.
        index: Index of the image.

    Returns:
        Each maps results to results. Those of ``MultiImageMixDataset`` draw their other images
        themselves.

    Raises:
        ValueError: The dataset is of another kind.
    """
    if hasattr(dataset, 'datasets'):
        which, index = dataset._get_ori_dataset_idx(index)
        return pipeline_of(dataset.datasets[which], index)
    own = getattr(dataset, 'pipeline', None)
    if hasattr(dataset, 'dataset'):
        original = getattr(dataset, '_get_ori_dataset_idx', lambda i: i)(index)
        inner = pipeline_of(dataset.dataset, original)
        return inner + [_Mixing(step, dataset.dataset) for step in own or ()]
    if not hasattr(own, 'transforms'):
        raise ValueError(
            f'{type(dataset).__name__} has no `pipeline` of transforms that could be shown step by '
            'step: choose a dataset that is a mmengine BaseDataset or a wrapper of one.'
        )
    return list(own.transforms)


class _Mixing:
    """A step of MultiImageMixDataset, with the other images that it mixes in."""

    def __init__(self, transform: BaseTransform, dataset: Any) -> None:
        self.transform = transform
        self.dataset = dataset

    def __call__(self, results: dict) -> dict | None:
        if hasattr(self.transform, 'get_indexes'):
            indexes = np.atleast_1d(self.transform.get_indexes(self.dataset)).tolist()
            results['mix_results'] = [self.dataset[index] for index in indexes]
        results = self.transform(results)
        if results is not None:
            results.pop('mix_results', None)
        return results


def step_name(step: Callable) -> str:
    """Class name of a transform."""
    return type(step.transform if isinstance(step, _Mixing) else step).__name__


def nested_transforms(transform: Any) -> list[BaseTransform]:
    """Find the transforms in another one or in a pipeline.

    Args:
        transform: A transform, or a list of such.

    Returns:
        Each once, itself included.
    """
    found: dict[int, BaseTransform] = {}
    stack = [transform]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value
        elif isinstance(value, BaseTransform) and id(value) not in found:
            found[id(value)] = value
            stack += vars(value).values()
    return list(found.values())


def trace(steps: Sequence[Callable], info: dict) -> Iterator[Stage]:
    """Run a picture through transforms one by one.

    Args:
        steps: From :func:`pipeline_of`.
        info: What ``get_data_info`` of the dataset gives; changed.

    Yields:
        One stage per transform, up to the one that dropped the picture or raised an error.
    """
    results = info
    for step in steps:
        transform = step.transform if isinstance(step, _Mixing) else step
        with ExitStack() as stack:
            drawn: list[str] = []
            for each in nested_transforms(transform):
                stack.enter_context(_recorded(each, drawn, nested=each is not transform))
            try:
                results, error = step(results), None
            except Exception as raised:  # shown in its place: to see where is what tracing is for
                results, error = None, raised
        yield Stage(step_name(step), results, tuple(drawn), error)
        if results is None:
            return


@contextmanager
def _recorded(transform: BaseTransform, drawn: list[str], nested: bool) -> Iterator[None]:
    """Note in ``drawn`` what a transform draws while it runs.

    Its methods are replaced on the object, as mmcv's ``cache_random_params`` does.
    """
    is_wrapper = len(nested_transforms(transform)) > 1
    values = drawn if is_wrapper else []  # a leaf's own are not needed where its map says it all
    methods = {
        name: getattr(transform, name)
        for name in ('transform', *getattr(transform, '_methods_with_randomness', ()))
        if hasattr(transform, name)
    }
    before = {name: vars(transform)[name] for name in methods if name in vars(transform)}

    def noting(name: str) -> Callable:
        def call(*args, **kwargs):
            value = methods[name](*args, **kwargs)
            values.append(f'{_plain(name)}: {_short(value)}')
            return value

        return call

    def run(results: dict) -> dict | None:
        matrix, size = results.get('homography_matrix'), _size_of(results)
        if nested:
            drawn.append(type(transform).__name__)
        results = methods['transform'](results)
        moved = results and describe_map(_step_map(matrix, results), size, _size_of(results))
        drawn.extend([moved] if moved else values)
        values.clear()
        return results

    recorders = {name: noting(name) for name in methods if name != 'transform'}
    vars(transform).update(recorders | {'transform': methods['transform'] if is_wrapper else run})
    try:
        yield
    finally:
        for name in methods:
            del vars(transform)[name]
        vars(transform).update(before)


def _step_map(before: np.ndarray | None, results: dict) -> np.ndarray:
    """Map of the image that one step applied, from the accumulated ones that mmdet keeps."""
    after = results.get('homography_matrix')
    if after is None:
        return np.eye(3)
    return after if before is None else after @ np.linalg.inv(before)


def _size_of(results: Mapping[str, Any]) -> tuple[int, int]:
    return tuple(results.get('img_shape', (0, 0))[1::-1])


def describe_whole_map(results: Mapping[str, Any]) -> str:
    """Say in words how an image was moved from its file to the end of a pipeline.

    Args:
        results: Of a pipeline, packed or not.

    Returns:
        See :func:`describe_map`; empty where the pipeline keeps no ``homography_matrix``.
    """
    sample = results.get('data_samples')
    known = results if sample is None else sample.metainfo
    matrix = known.get('homography_matrix')
    if matrix is None:
        return ''
    return describe_map(matrix, known.get('ori_shape', (0, 0))[1::-1], _size_of(known))


def describe_map(
    matrix: np.ndarray, source: tuple[int, int] = (0, 0), target: tuple[int, int] = (0, 0)
) -> str:
    """Say in words what an affine map does to an image.

    Args:
        matrix: Map of pixel coordinates, shape ``(3, 3)``.
        source: Width and height of the image before it.
        target: Width and height after it.

    Returns:
        Such as ``mirrored, turned 90°, x 0.53, shifted 12 -3 px``: a mirroring is left-right and
        comes first, a turn is clockwise on screen, the shift is that of the image's middle from
        middle to middle (of a crop or a pure shift: that of every pixel). Empty for a map that
        changes nothing.
    """
    linear = np.asarray(matrix, np.float64)[:2, :2]
    mirrored = np.linalg.det(linear) < 0
    unmirrored = linear * ([-1, 1] if mirrored else [1, 1])
    scales = np.linalg.norm(unmirrored, axis=0)
    turn = np.rad2deg(np.arctan2(unmirrored[1, 0], unmirrored[0, 0]))
    shift = np.asarray(matrix, np.float64)[:2, 2]
    if not np.allclose(linear, np.eye(2), atol=1e-3):
        shift = shift + (linear @ (np.array(source) - 1) - (np.array(target) - 1)) / 2
    words = ['mirrored'] if mirrored else []
    if abs(turn) >= 0.05:
        words.append(f'turned {turn:.3g}°'.replace('-180', '180'))
    if np.ptp(scales) > 0.01 * scales.max():
        words.append(f'x {scales[0]:.3g} across, {scales[1]:.3g} down')
    elif abs(scales[0] - 1) > 1e-3:
        words.append(f'x {scales.mean():.3g}')
    if abs(unmirrored[:, 0] @ unmirrored[:, 1]) > 0.01 * scales.prod():
        words.append('sheared')
    if np.abs(shift).max() > 1:
        words.append('shifted {:d} {:d} px'.format(*shift.round().astype(int)))
    return ', '.join(words)


def _plain(name: str) -> str:
    """Method name without what only says that it is random."""
    while name.startswith(_PREFIXES):
        name = name[len(next(prefix for prefix in _PREFIXES if name.startswith(prefix))) :]
    return name.replace('_', ' ')


def _short(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f'{value:.3g}'
    if isinstance(value, np.ndarray):
        return ' '.join(_short(each) for each in value.ravel()[:12])
    if isinstance(value, list | tuple):
        return ' '.join(_short(each) for each in value[:12])
    return str(value)
