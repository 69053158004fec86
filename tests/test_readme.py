"""What the README names exists, and its code works."""

import re
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
SNIPPETS = re.findall(r'```python\n(.*?)```', README, re.DOTALL)


@pytest.mark.parametrize('target', sorted(set(re.findall(r'\]\((?!http)([^)#]+)\)', README))))
def test_a_link_leads_to_a_file_or_folder(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize('script', sorted(set(re.findall(r'\btools/[\w/]+\.(?:py|sh)', README))))
def test_a_tool_is_there(script):
    assert (ROOT / script).is_file()


OPTIONS = set(re.findall(r'(?<=[\s`])--[a-z][\w-]+', README)) - {'--logdir'}  # of tensorboard


@pytest.mark.parametrize('option', sorted(OPTIONS))
def test_an_option_is_one_of_a_tool(option):
    files = [*(ROOT / 'tools').rglob('*.py'), ROOT / 'mmdet_ext/utils/arguments.py']
    assert any(f"'{option}'" in file.read_text(encoding='utf-8') for file in files)


@pytest.mark.parametrize('code', SNIPPETS, ids=lambda code: code.split('\n')[0][:40])
def test_code_is_valid_python(code):
    compile(code, 'README.md', 'exec')


def test_a_component_as_the_readme_writes_it_works_in_a_config():
    code = next(code for code in SNIPPETS if 'class MeanAttention' in code)
    package = 'mmdet_ext.models.layers.attention'
    try:
        exec(code, {'__name__': f'{package}.mean_attention', '__package__': package})
        layer = MODELS.build(dict(type='MeanAttention', in_channels=3))
        x = torch.rand(2, 3, 4, 5)
        torch.testing.assert_close(layer(x), x / (1 + torch.exp(-x.mean((2, 3))))[..., None, None])
    finally:
        MODELS.module_dict.pop('MeanAttention', None)
