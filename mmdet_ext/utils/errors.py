"""User errors as one sentence on stderr instead of a traceback."""

import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

USER_ERRORS = (ValueError, OSError, KeyError)

# mmengine's registries may put the class being built before the message, once per nesting level.
_BUILD_PREFIX = re.compile(r'^class `[^`]+` in [^:]+: ')
_EXCEPTION_LINE = re.compile(r'^[\w.]+(?:Error|Exception): ', re.MULTILINE)
_UNKNOWN_TYPE = re.compile(r'([\w.]+) is not in the ([\w.]+)::([\w ]+) registry')
_WRONG_OPTION = re.compile(r'__init__\(\) (got an unexpected keyword|missing \d+ required)')
_MISSING_EXTRA = "pip install 'mmdet_ext["


@contextmanager
def clear_errors(show_traceback: bool = False) -> Iterator[None]:
    """Print an error of the user, or of the environment, as ``error: <sentence>`` and exit with 1.

    An exception whose message is no sentence (a bare ``KeyError: 'foo'``) is a bug and passes
    through with its traceback, as do exceptions of other kinds.

    Args:
        show_traceback: Let every exception through unchanged.

    Raises:
        SystemExit: With code 1, in place of a user error.
    """
    try:
        yield
    except BrokenPipeError as error:  # who reads the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from error
    except USER_ERRORS as error:
        sentence = sentence_of(error)
        if show_traceback or len(sentence.split()) < 4:
            raise
        print(f'error: {sentence}', file=sys.stderr)
        raise SystemExit(1) from error
    except (ImportError, AssertionError) as error:  # mmdet asserts that it likes the mmcv it finds
        from mmdet_ext.doctor import explain_import_error  # noqa: PLC0415 (looks at everything)

        missing_extra = _MISSING_EXTRA in str(error)  # a sentence of ours that says what to install
        sentence = str(error) if missing_extra else explain_import_error()
        if show_traceback or not sentence:
            raise
        print(f'error: {sentence}', file=sys.stderr)
        raise SystemExit(1) from error


def sentence_of(error: BaseException) -> str:
    """Return the message that was written where the error arose.

    Takes off what is put around it on the way: the quotes of ``KeyError``, the names of the classes
    being built (mmengine's registries), the traceback text of a data-loader worker.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if 'Original Traceback (most recent call last)' in text:
        text = text[list(_EXCEPTION_LINE.finditer(text))[-1].end() :]
    previous = None
    while text != previous:
        previous = text
        text = _BUILD_PREFIX.sub('', text.strip())
        if len(text) > 1 and text[0] == text[-1] and text[0] in '\'"':
            text = text[1:-1]
    return text


@contextmanager
def explained_config_errors(cfg: Mapping) -> Iterator[None]:
    """Say what in the config is wrong when an object cannot be built from it.

    Args:
        cfg: The config that the objects are built from.

    Raises:
        KeyError: For an unknown registry name, with its key in the config, close matches and the
            remedy.
        ValueError: For an option that the class does not have, or a required one that is not there.
    """
    try:
        yield
    except KeyError as error:
        match = _UNKNOWN_TYPE.search(str(error))
        if match is None:
            raise
        raise KeyError(_unknown_type_sentence(*match.groups(), cfg)) from error
    except TypeError as error:
        if not _WRONG_OPTION.search(str(error)):
            raise
        raise ValueError(
            f'an option in the config is wrong: {sentence_of(error)}; correct the options beside '
            'that `type`.'
        ) from error


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return `` (did you mean A or B?)`` with the names closest to ``name``, or an empty string."""
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
    return f' (did you mean {" or ".join(lowered[match] for match in close)}?)' if close else ''


def _unknown_type_sentence(name: str, scope: str, registry: str, cfg: Mapping) -> str:
    keys = list(_keys_with_type(cfg, name))
    where = f' at `{keys[0]}` of the config' if keys else ''
    suggestion = did_you_mean(name.rpartition('.')[-1], _registered_names(scope, registry))
    return (
        f'the type `{name}`{where} is not registered in the {registry} registry of {scope}'
        f'{suggestion}: correct the name, or import the module that registers it through '
        '`custom_imports` in the config.'
    )


def _keys_with_type(node: object, name: str, path: str = '') -> Iterator[str]:
    """Yield the dotted config keys of every ``type`` that equals ``name``."""
    if hasattr(node, 'items'):  # mmengine's Config is no Mapping
        if node.get('type') == name:
            yield f'{path}.type'.lstrip('.')
        children = node.items()
    elif isinstance(node, list | tuple):
        children = enumerate(node)
    else:
        return
    for key, child in children:
        yield from _keys_with_type(child, name, f'{path}.{key}'.lstrip('.'))


def _registered_names(scope: str, name: str) -> list[str]:
    """Return the names in a registry and its parents; empty when there is no such registry."""
    import mmdet.registry  # noqa: PLC0415 (heavy, and only needed once something is wrong)
    import mmengine.registry  # noqa: PLC0415

    registries = [*vars(mmdet.registry).values(), *vars(mmengine.registry).values()]
    names = []
    found = next(
        (
            r
            for r in registries
            if isinstance(r, mmengine.registry.Registry) and (r.scope, r.name) == (scope, name)
        ),
        None,
    )
    while found is not None:
        names += found.module_dict
        found = found.parent
    return names
