"""Print what pip is told about package indexes as shell exports for uv, which reads no pip.conf.

Used by ``install.sh``: ``eval "$(pip config list | python pip_settings.py)"``. Settings that uv has
been given itself (its own variables) stay as they are. Indexes in a local folder (``file://``) are
left to pip.
"""

import ast
import os
import shlex
import sys
from collections.abc import Iterable, Mapping


def uv_environment(pip_config: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Translate pip's settings into uv's environment variables.

    Args:
        pip_config: Lines of ``pip config list``, such as ``global.index-url='...'``.
        environ: The environment; a variable that is set there is not overridden.

    Returns:
        The variables to add to the environment; empty when pip has no such settings.
    """
    by_section = {'global': {}, 'install': {}, ':env:': {}}  # weakest first
    for line in pip_config:
        key, separator, value = line.strip().partition('=')
        section, _, name = key.rpartition('.')
        if separator and section in by_section:
            by_section[section][name] = ast.literal_eval(value)
    settings = by_section['global'] | by_section['install'] | by_section[':env:']

    def urls(name: str) -> list[str]:
        return [url for url in settings.get(name, '').split() if not url.startswith('file:')]

    variables = {
        'UV_DEFAULT_INDEX': ' '.join(urls('index-url')),
        'UV_INDEX': ' '.join(urls('extra-index-url')),
        'UV_INSECURE_HOST': ' '.join(settings.get('trusted-host', '').split()),
        'SSL_CERT_FILE': settings.get('cert', ''),
    }
    if variables['UV_INDEX']:
        # pip takes the pinned version from whichever index has it; uv would stop at the first index.
        variables['UV_INDEX_STRATEGY'] = 'unsafe-best-match'
    return {name: value for name, value in variables.items() if value and name not in environ}


if __name__ == '__main__':
    for variable, value in uv_environment(sys.stdin, os.environ).items():
        print(f'export {variable}={shlex.quote(value)}')
