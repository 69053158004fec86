"""What differs between the supported stacks, in one place.

Nowhere else does the package ask what it runs on. Differences are probed by attribute, never by the
name or version of a distribution.
"""

import pickle
from collections.abc import Callable, Iterable
from typing import IO, Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# torch < 2.6: weights_only takes no further classes than torch's own, and mmengine's logs need some.
_WEIGHTS_ONLY_TAKES_CLASSES = hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint')
# numpy < 2: `_core` is called `core`. Checkpoints name whichever wrote them; these are the functions.
_NUMPY_FUNCTIONS = {
    'multiarray._reconstruct': np.zeros(1).__reduce__()[0],
    'multiarray.scalar': np.float64(0).__reduce__()[0],
}


def load_weights_only(file: str | IO[bytes], map_location: str = 'cpu') -> Any:
    """``torch.load`` that runs no code of the file: tensors, plain values and mmengine's logs.

    Args:
        file: A checkpoint, on disk or open.
        map_location: Where the tensors go.

    Returns:
        What was saved.

    Raises:
        pickle.UnpicklingError: The file needs anything else, which it names; or it is damaged.
    """
    if _WEIGHTS_ONLY_TAKES_CLASSES:
        # Added for good: mmengine 0.10.7 with torch >= 2.6 then loads its own checkpoints, too.
        torch.serialization.add_safe_globals([(value, key) for key, value in _allowed().items()])
        return torch.load(file, map_location=map_location, weights_only=True)
    return torch.load(file, map_location=map_location, pickle_module=_RestrictedPickle)


def _statistic(owner: type, name: str) -> Callable:
    """What pickled logs use ``getattr`` for, and no more."""
    if owner is not HistoryBuffer or name not in ('mean', 'min', 'max', 'current'):
        owner = getattr(owner, '__name__', type(owner).__name__)
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL {owner}.{name}')
    return getattr(owner, name)


def _allowed() -> dict[str, Any]:
    """What mmengine's logs in a checkpoint are made of, by the names that either stack writes."""
    allowed = {
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
    }
    for builtins in ('builtins', '__builtin__'):
        allowed |= {f'{builtins}.getattr': _statistic, f'{builtins}.set': set}
    for core in ('numpy.core', 'numpy._core'):
        allowed |= {f'{core}.{name}': function for name, function in _NUMPY_FUNCTIONS.items()}
    for kind in map(type, map(np.dtype, ('uint32', 'int64', 'float32', 'float64', 'bool'))):
        allowed[f'{kind.__module__}.{kind.__qualname__}'] = kind
    return allowed


def _torch_allowed() -> Iterable[str]:
    """Names that torch's own weights_only loading accepts."""
    from torch._weights_only_unpickler import _get_allowed_globals  # noqa: PLC0415 (old torch only)

    return _get_allowed_globals()


class _RestrictedPickle:
    """A ``pickle`` module for torch.load whose unpickler finds allowed names only."""

    load, loads = staticmethod(pickle.load), staticmethod(pickle.loads)

    class Unpickler(pickle.Unpickler):
        """See :class:`pickle.Unpickler`, restricting globals."""

        def find_class(self, module: str, name: str) -> Any:
            """Return an allowed class or function, refuse any other."""
            full_name = f'{module}.{name}'
            ours = _allowed()
            if full_name in ours:
                return ours[full_name]
            if full_name in _torch_allowed() or full_name == '_codecs.encode':
                return super().find_class(module, name)
            raise pickle.UnpicklingError(f'Unsupported global: GLOBAL {full_name}')
