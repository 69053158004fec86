"""Tell in ten lines whether the environment is sound, and what to type to mend it.

Run it as ``python -m mmdet_ext.doctor``. It needs nothing but Python, and exits with 1 if something
is wrong.
"""

import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

MM_MODULES = ('mmengine', 'mmcv', 'mmdet')
OPS = 'pip install --no-cache-dir --no-build-isolation "mmcv==2.1.0"'
STACK = f'`make setup`, or pip install "mmengine==0.10.7" "mmdet==3.3.0", then {OPS}'


@dataclass
class Facts:
    """What an environment is, gathered without judging.

    Attributes:
        versions: Of the importable modules, by module name.
        errors: Why a module does not import; modules that are not there at all say ``missing``.
        cuda: The CUDA version that torch and torchvision were built for; None for the CPU.
        gpu: Whether torch sees a GPU.
        owners: Names of the distributions that say they provide each of mmengine, mmcv and mmdet.
        registered: Whether mmdet's registry finds our head; else the reason.
    """

    versions: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    cuda: dict[str, str | None] = field(default_factory=dict)
    gpu: bool = False
    owners: dict[str, list[str]] = field(default_factory=dict)
    registered: str = ''


@dataclass
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        found: What is there.
        problem: What is wrong with it, if anything, as half a sentence.
        remedy: What to type.
    """

    name: str
    found: str
    problem: str = ''
    remedy: str = ''

    def __str__(self) -> str:
        if not self.problem:
            return f'ok    {self.name}: {self.found}'
        return f'WRONG {self.name}: {self.found}: {self.problem}; {self.remedy}'


def gather() -> Facts:
    """Look at the environment of this process."""
    facts = Facts()
    for module, probe in {
        'numpy': lambda numpy: numpy.zeros(1),
        'torch': lambda torch: torch.zeros(1).numpy(),  # fails if built for another numpy
        'torchvision': lambda vision: vision.ops.nms,
        'cv2': lambda cv2: cv2.resize,
        'pycocotools.mask': lambda mask: mask.area,
        'mmengine': lambda engine: import_module('mmengine.registry'),
        'mmcv': lambda mmcv: mmcv,
        'mmcv._ext': lambda ops: ops,
        'mmdet': lambda mmdet: import_module('mmdet.registry'),
    }.items():
        _try(facts, module, probe)
    if 'torch' in facts.versions:
        torch = sys.modules['torch']
        facts.cuda['torch'], facts.gpu = torch.version.cuda, torch.cuda.is_available()
    if 'torchvision' in facts.versions:
        facts.cuda['torchvision'] = _torchvision_cuda()
    if find_spec('pkg_resources') is None:  # importing it warns
        facts.errors['pkg_resources'] = 'missing'
    facts.owners = _owners()
    facts.registered = _why_unregistered()
    return facts


def diagnose(facts: Facts) -> list[Finding]:
    """Judge an environment.

    Args:
        facts: From :func:`gather`.

    Returns:
        The lines of the report, causes before their consequences.
    """
    return [
        Finding('Python', platform.python_version()),
        _torch(facts),
        _torchvision(facts),
        _numpy(facts),
        _image_libraries(facts),
        _mmengine(facts),
        _mmcv(facts),
        _ops(facts),
        _mmdet(facts),
        _ours(facts),
    ]


def explain_import_error() -> str:
    """Return one sentence on the first thing wrong with the environment; empty if nothing is."""
    wrong = next((finding for finding in diagnose(gather()) if finding.problem), None)
    return f'{wrong.name}: {wrong.found}: {wrong.problem}; {wrong.remedy}.' if wrong else ''


def main() -> None:
    """Print the report."""
    findings = diagnose(gather())
    for finding in findings:
        print(finding)
    sys.exit(any(finding.problem for finding in findings))


def _try(facts: Facts, name: str, probe: Callable[[Any], Any]) -> None:
    try:
        module = import_module(name)
        probe(module)
    except Exception as error:  # ImportError, mmdet's AssertionError, ABI errors of any kind
        absent = isinstance(error, ModuleNotFoundError) and error.name == name.partition('.')[0]
        facts.errors[name] = 'missing' if absent else ' '.join(str(error).split())[:200]
        if hasattr(sys.modules.get(name), '__version__'):
            facts.versions[name] = sys.modules[name].__version__
    else:
        facts.versions[name] = getattr(module, '__version__', '')


def _torchvision_cuda() -> str | None:
    version = sys.modules['torch'].ops.torchvision._cuda_version()  # 12010 for 12.1, -1 for the CPU
    return f'{version // 1000}.{version % 1000 // 10}' if version > 0 else None


def _owners() -> dict[str, list[str]]:
    """Distributions of each mm module; from their files, whatever their names are."""
    owners = metadata.packages_distributions()
    return {module: sorted(set(owners.get(module, []))) for module in MM_MODULES}


def _why_unregistered() -> str:
    try:
        from mmdet.registry import MODELS  # noqa: PLC0415

        return '' if MODELS.get('PSDHead') else 'mmdet_ext was imported before mmdet was there'
    except Exception as error:  # whatever keeps mmdet's models from importing
        return ' '.join(str(error).split())[:200]


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r'\d+', version)[:2])


def _absent(facts: Facts, module: str, name: str, remedy: str) -> Iterator[Finding]:
    """The finding on a module that does not import, if so."""
    error = facts.errors.get(module)
    if error == 'missing':
        yield Finding(name, 'not installed', 'mmdet_ext cannot work without it', remedy)
    elif error:
        found = facts.versions.get(module, 'installed')
        yield Finding(name, found, f'it does not import ({error})', remedy)


def _doubled(facts: Facts, module: str) -> Iterator[Finding]:
    """The finding on distributions that write into one folder, if so."""
    owners = facts.owners.get(module, [])
    if len(owners) > 1:
        problem = 'they write into one folder, so that each is half overwritten'
        remedy = f'pip uninstall -y {" ".join(owners)}, then install one of them'
        yield Finding(module, f'provided by {" and ".join(owners)}', problem, remedy)


def _first(name: str, found: str, findings: Iterable[Finding] = ()) -> Finding:
    """The first thing that is wrong, or that all is well."""
    return next(iter(findings), Finding(name, found))


def _torch(facts: Facts) -> Finding:
    for finding in _absent(facts, 'torch', 'torch', 'pip install torch torchvision'):
        if 'umpy' in finding.problem:
            finding.problem = f'it was built for another NumPy than {facts.versions.get("numpy")}'
            finding.remedy = 'pip install "numpy<2", or a torch from 2.3 on'
        return finding
    cuda = facts.cuda.get('torch')
    device = f'CUDA {cuda}, {"a GPU is there" if facts.gpu else "no GPU is seen"}'
    return Finding('torch', f'{facts.versions["torch"]} ({device if cuda else "CPU only"})')


def _torchvision(facts: Facts) -> Finding:
    version, torch = facts.versions.get('torchvision', ''), facts.versions.get('torch', '')
    remedy = f'pip install --force-reinstall "torch=={torch}" torchvision, both from one index'
    findings = list(_absent(facts, 'torchvision', 'torchvision', remedy))
    built = [f'CUDA {cuda}' if cuda else 'the CPU' for cuda in facts.cuda.values()]
    if len(set(built)) > 1:
        problem = f'it was built for {built[1]}, but torch for {built[0]}'
        findings.append(Finding('torchvision', version, problem, remedy))
    return _first('torchvision', version, findings)


def _numpy(facts: Facts) -> Finding:
    return _first(
        'numpy',
        facts.versions.get('numpy', ''),
        _absent(facts, 'numpy', 'numpy', 'pip install numpy'),
    )


def _image_libraries(facts: Facts) -> Finding:
    findings = []
    for module, package in (('cv2', 'opencv-python-headless'), ('pycocotools.mask', 'pycocotools')):
        remedy = f'pip install --force-reinstall --no-deps {package}'
        findings += _absent(facts, module, package, remedy)
    return _first('OpenCV', f'{facts.versions.get("cv2")}, with pycocotools', findings)


def _mmengine(facts: Facts) -> Finding:
    findings = [*_doubled(facts, 'mmengine'), *_absent(facts, 'mmengine', 'mmengine', STACK)]
    return _first('mmengine', facts.versions.get('mmengine', ''), findings)


def _mmcv(facts: Facts) -> Finding:
    version = facts.versions.get('mmcv', '')
    findings = list(_doubled(facts, 'mmcv'))
    if version and _release(version) < (2, 0):
        findings.append(Finding('mmcv', version, 'MMDetection 3 needs mmcv 2', STACK))
    findings += _absent(facts, 'mmcv', 'mmcv', STACK)
    return _first('mmcv', version, findings)


def _ops(facts: Facts) -> Finding:
    if 'mmcv._ext' in facts.versions:
        return Finding('mmcv ops', 'compiled')
    error, package = facts.errors.get('mmcv._ext', ''), 'mmcv'
    if 'mmcv-lite' in facts.owners.get('mmcv', []):
        problem, package = 'mmcv-lite comes without them', 'mmcv-lite'
    elif 'undefined symbol' in error or 'undefined reference' in error:
        problem = 'they were built for another torch'
    else:
        problem = f'mmcv was built without them ({error})'
    remedy = f'pip uninstall -y {package}, then {OPS}'
    if 'pkg_resources' in facts.errors:
        remedy = f'pip install "setuptools<70" (mmcv is built with its pkg_resources), {remedy}'
    return Finding('mmcv ops', 'not there', problem, remedy)


def _mmdet(facts: Facts) -> Finding:
    version, error = facts.versions.get('mmdet', ''), facts.errors.get('mmdet', '')
    findings = list(_doubled(facts, 'mmdet'))
    if version and _release(version) < (3, 0):
        findings.append(Finding('mmdet', version, 'MMDetection 3 is needed', STACK))
    elif 'MMCV==' in error:
        problem = f'it does not work with mmcv {facts.versions.get("mmcv")}'
        findings.append(Finding('mmdet', version or 'installed', problem, STACK))
    findings += _absent(facts, 'mmdet', 'mmdet', STACK)
    return _first('mmdet', version, findings)


def _ours(facts: Facts) -> Finding:
    version = import_module('mmdet_ext').__version__
    if not facts.registered:
        return Finding('mmdet_ext', f'{version}, its components are registered')
    problem = f'its components are not registered ({facts.registered})'
    return Finding('mmdet_ext', version, problem, 'mend what is wrong above')


if __name__ == '__main__':
    main()
