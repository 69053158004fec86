"""Versions of everything a run depends on, and whether mmcv's compiled ops are there.

Run it as ``python -m mmdet_ext.utils.collect_env``.
"""

from importlib import import_module

MISSING = 'not installed'


def collect_env() -> dict[str, str]:
    """Describe the environment.

    Returns:
        What mmengine's ``collect_env`` returns (system, devices, compilers, torch), then the versions
        of mmcv, mmdet and mmdet_ext and the state of mmcv's ops. What is missing is said to be.
    """
    try:
        from mmengine.utils.dl_utils import collect_env as collect_base_env  # noqa: PLC0415

        info = {key: str(value) for key, value in collect_base_env().items()}
    except ImportError as error:
        info = {'MMEngine': f'{MISSING} ({error})'}
    for title, module in (('MMCV', 'mmcv'), ('MMDetection', 'mmdet'), ('mmdet_ext', 'mmdet_ext')):
        info[title] = _version(module)
    info['MMCV ops'] = describe_ops()
    return info


def describe_ops() -> str:
    """Say in one sentence whether mmcv's compiled ops import, for which device, and what to do if not."""
    try:
        import_module('mmcv._ext')
    except ImportError as error:
        return (
            f'not there ({error}): run `make setup`, or install an mmcv with ops that was built for '
            'the torch above.'
        )
    import torch  # noqa: PLC0415
    from mmcv.ops import get_compiling_cuda_version  # noqa: PLC0415

    cuda = get_compiling_cuda_version()
    if cuda != 'not available':
        return f'there, for CPU and CUDA {cuda}'
    if torch.cuda.is_available():
        return (
            'there, for the CPU only, although torch sees a GPU: install the nvcc of '
            f"torch's CUDA {torch.version.cuda}, delete .venv/installed and run `make setup`."
        )
    return 'there, for the CPU'


def _version(module: str) -> str:
    try:
        return import_module(module).__version__
    except ModuleNotFoundError as error:
        return MISSING if error.name == module else f'does not import ({error})'
    except (
        ImportError,
        AssertionError,
    ) as error:  # mmdet asserts that it can work with the mmcv found
        return f'does not import ({error})'


def main() -> None:
    """Print the environment, one ``name: value`` per line."""
    for name, value in collect_env().items():
        print(f'{name}: {value}')


if __name__ == '__main__':
    main()
