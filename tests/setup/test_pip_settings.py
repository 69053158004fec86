"""uv is told of the package indexes that pip is told of, and of nothing else."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / 'tools/setup/pip_settings.py'
spec = importlib.util.spec_from_file_location('pip_settings', SCRIPT)
pip_settings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pip_settings)


def uv_environment(text, **environ):
    return pip_settings.uv_environment(text.splitlines(), environ)


def test_without_index_settings_uv_gets_none():
    assert uv_environment("global.timeout='60'\n:env:.find-links='/wheels'") == {}


def test_index_extra_indexes_certificate_and_trusted_hosts_are_passed_on():
    config = """global.cert='/etc/ca.crt'
global.extra-index-url='https://b.test/simple https://c.test/simple'
global.index-url='https://a.test/simple'
global.trusted-host='a.test'"""
    assert uv_environment(config) == {
        'UV_DEFAULT_INDEX': 'https://a.test/simple',
        'UV_INDEX': 'https://b.test/simple https://c.test/simple',
        'UV_INDEX_STRATEGY': 'unsafe-best-match',
        'UV_INSECURE_HOST': 'a.test',
        'SSL_CERT_FILE': '/etc/ca.crt',
    }


def test_indexes_in_local_folders_are_left_out():
    assert uv_environment("global.extra-index-url='file:///opt/simple file:///more/simple'") == {}


def test_pips_environment_wins_over_its_file_whatever_the_order():
    config = ":env:.index-url='https://env.test/'\nglobal.index-url='https://file.test/'"
    assert uv_environment(config) == {'UV_DEFAULT_INDEX': 'https://env.test/'}


def test_what_uv_was_told_itself_stays():
    config = "global.index-url='https://a.test/'"
    assert uv_environment(config, UV_DEFAULT_INDEX='https://mine.test/') == {}
