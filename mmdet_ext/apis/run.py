"""Training and testing from a config: what ``tools/train.py`` and ``tools/test.py`` do."""

import errno
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from mmdet_ext.apis.fusion import FuseConvBNHook
from mmdet_ext.apis.report import make_report, report_source
from mmdet_ext.datasets.checks import check_before_training
from mmdet_ext.datasets.surround_view.dataset import ensure_dataset
from mmdet_ext.engine.hooks import InterruptHook
from mmdet_ext.engine.optimizers.learning_rate_scaling import count_accumulation
from mmdet_ext.models.layers.nms import check_nms_cfg
from mmdet_ext.utils.checkpoint import check_checkpoint, require_checkpoint_file
from mmdet_ext.utils.checkpoint_files import find_intact_checkpoint
from mmdet_ext.utils.configs import CONFIGS, config_path, refuse_idle_options
from mmdet_ext.utils.dist import process_group, restarts_of_torchrun
from mmdet_ext.utils.dist_checks import require_a_share_for_each_rank, require_devices
from mmdet_ext.utils.errors import did_you_mean, explained_config_errors
from mmdet_ext.utils.files import require_writable_folder
from mmdet_ext.utils.model_wrappers import unwrapped

# Optimizer wrappers in full precision, in half precision on a GPU, and on a CPU.
_PRECISIONS = (
    ('OptimWrapper', 'AmpOptimWrapper', 'BFloat16OptimWrapper'),
    ('FloodingOptimWrapper', 'FloodingAmpOptimWrapper', 'FloodingBFloat16OptimWrapper'),
)
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def load_config(
    path: str,
    cfg_options: Mapping | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config file and settle where its run writes to and how it is launched.

    Args:
        path: A config file, or the name of one of the package's below ``configs/``.
        cfg_options: Values that override the file's, by dotted key.
        work_dir: Folder for the run's outputs. Defaults to the config's own ``work_dir``, else to
            ``work_dirs/<name of the config file>``.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        The config.

    Raises:
        FileNotFoundError: If there is no such file; names files with a similar name.
        ValueError: If it is no valid Python, one of its ``custom_imports`` fails, or an option would
            change a mere variable of it.
    """
    if not Path(path).is_file() and (CONFIGS / path).is_file():
        path = config_path(path)
    if not Path(path).is_file():
        folder = Path(path).parent
        known = [str(file) for file in [*folder.glob('*.py'), *Path('configs').rglob('*.py')]]
        raise FileNotFoundError(
            f'the config {path} does not exist{did_you_mean(path, known)}: correct the path.'
        )
    if Path(path).suffix not in ('.py', '.json', '.yaml', '.yml'):
        raise ValueError(f'{path} is no config: name a .py file, such as configs/ext/psd_yolo.py.')
    try:
        cfg = Config.fromfile(path)
    except (ImportError, SyntaxError) as error:
        raise ValueError(f'the config {path} cannot be read: {error}.') from error
    if cfg_options:
        refuse_idle_options(cfg, cfg_options)
        cfg.merge_from_dict(dict(cfg_options))
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(path).stem)
    cfg.launcher = launcher
    return cfg


def train(
    config: str,
    *,
    work_dir: str | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    resume: str | None = None,
    cfg_options: Mapping | None = None,
    launcher: str = 'none',
) -> Runner:
    """Train a config's model.

    Args:
        config: A config file.
        work_dir: See :func:`load_config`, as for ``cfg_options`` and ``launcher``.
        amp: Use mixed precision: float16 on a GPU, bfloat16 on the CPU.
        auto_scale_lr: Scale the learning rate from the config's ``base_batch_size`` to the batch
            size of this run, in which accumulated batches count as one.
        resume: A checkpoint to go on from, or ``auto`` for the latest one in the work folder.
        cfg_options: Values that override the config's.
        launcher: How the processes were started.

    Returns:
        The runner, after training.

    Raises:
        FileNotFoundError: If the config or a checkpoint does not exist.
        ValueError: If an option does not fit the config, a checkpoint does not fit the model, or the
            annotations are such that training makes no sense (see ``check_before_training``).
        KeyError: If the config names a type that is not registered.
    """
    cfg = load_config(config, cfg_options, work_dir, launcher)
    if amp:
        _use_amp(cfg, config)
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                f'{config} has no `auto_scale_lr.base_batch_size`, which --auto-scale-lr scales from: '
                'add `auto_scale_lr = dict(base_batch_size=N)` with the batch size that its learning '
                'rate was chosen for.'
            )
        cfg.auto_scale_lr.enable = True
    require_devices(cfg)
    require_writable_folder(cfg.work_dir, 'choose another with --work-dir')
    passed_over = _resume_from(cfg, resume)
    if cfg.get('load_from'):
        require_checkpoint_file(cfg.load_from)

    with process_group(cfg), explained_config_errors(cfg):
        _check_nms(cfg.get('model', {}))
        runner = build_runner(cfg)
        for damage in passed_over:
            runner.logger.warning(f'{damage}: passed over, an older one is resumed from.')
        if isinstance(runner, Runner):  # the flexible runner scales in its strategy
            count_accumulation(runner)
        check_before_training(cfg)
        require_a_share_for_each_rank(runner)
        _check_start(runner, cfg)
        _run_training(runner)
    return runner


def evaluate(
    config: str,
    checkpoint: str,
    *,
    work_dir: str | None = None,
    out: str | None = None,
    show: bool = False,
    show_dir: str | None = None,
    wait_time: float = 2,
    tta: bool = False,
    fuse_conv_bn: bool = False,
    report: str | None = None,
    cfg_options: Mapping | None = None,
    launcher: str = 'none',
) -> dict[str, float]:
    """Evaluate a checkpoint on a config's test data.

    Args:
        config: A config file.
        checkpoint: A checkpoint that was trained with it.
        work_dir: See :func:`load_config`, as for ``cfg_options`` and ``launcher``.
        out: A ``.pkl`` file to write the predictions to.
        show: Show each image with its predictions in a window.
        show_dir: Write them into this folder instead; a relative path is taken inside
            ``<work_dir>/<timestamp>``, as mmdet does.
        wait_time: Seconds that a window stays open.
        tta: Augment at test time, with the config's ``tta_model`` and ``tta_pipeline``.
        fuse_conv_bn: Fold batch norms into the convolutions before them: the same results, sooner.
        report: A folder to write a report to (see ``make_report``), and the predictions too unless
            ``out`` is given.
        cfg_options: Values that override the config's.
        launcher: How the processes were started.

    Returns:
        The metrics by name.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If an option does not fit the config, or the checkpoint does not fit the model.
        KeyError: If the config names a type that is not registered.
    """
    cfg = load_config(config, cfg_options, work_dir, launcher)
    require_checkpoint_file(checkpoint)
    cfg.load_from, cfg.resume = checkpoint, False
    if report:
        out = out or str(Path(report) / 'predictions.pkl')
    if out:
        _dump_predictions(cfg, out)
    if show or show_dir:
        _draw_predictions(cfg, config, show, show_dir, wait_time)
    if tta:
        _use_tta(cfg, config)

    with process_group(cfg), explained_config_errors(cfg):
        runner = build_runner(cfg)
        check_checkpoint(unwrapped(runner.model), checkpoint)
        source = report and report_source(runner.test_loop.dataloader.dataset, config)
        if fuse_conv_bn:
            runner.register_hook(FuseConvBNHook())
        metrics = runner.test()
        if report and is_main_process():
            make_report(out, source[0], report, classes=source[1], title=Path(config).stem)
        return metrics


def prepare_data(cfg: Config) -> None:
    """Make the synthetic scenes that a config asks for, if they are not there yet.

    Args:
        cfg: A config, with or without ``synthetic_data``: arguments of ``ensure_dataset``, or a list of
            such.
    """
    wanted = cfg.get('synthetic_data') or []
    for arguments in wanted if isinstance(wanted, list) else [wanted]:
        ensure_dataset(**arguments)


def build_runner(cfg: Config) -> Runner:
    """Make the data that a config asks for, and its runner."""
    prepare_data(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def _check_nms(node: object) -> None:
    """Check what is called ``nms`` in a model's config now, not at the first validation."""
    children = node.items() if isinstance(node, dict) else ()
    for key, child in children:
        if key == 'nms' and isinstance(child, dict):
            check_nms_cfg(child)
        for item in child if isinstance(child, list) else [child]:
            _check_nms(item)


def _resume_from(cfg: Config, resume: str | None) -> list[str]:
    """Settle what to resume from; what is wrong with checkpoints that were passed over."""
    if restarts_of_torchrun() and (Path(cfg.work_dir) / 'last_checkpoint').is_file():
        resume = 'auto'  # a process was lost: what was saved since is later than what it began from
    if resume is None:
        return []
    cfg.resume, passed_over = True, []
    cfg.load_from = resume
    if resume == 'auto':
        cfg.load_from, passed_over = find_intact_checkpoint(cfg.work_dir)
    return passed_over


def _run_training(runner: Runner) -> None:
    """Train; signals are left to whom they were before, and a full disk gets its sentence."""
    try:
        runner.train()
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        last = find_latest_checkpoint(runner.work_dir)
        raise OSError(
            f'training stopped because nothing more can be written to {runner.work_dir} '
            f'({error.strerror}): make room, then '
            + (f'go on from {last} with --resume.' if last else 'start again.')
        ) from error
    finally:
        for hook in runner.hooks:
            if isinstance(hook, InterruptHook):
                hook.release()


def _check_start(runner: Runner, cfg: Config) -> None:
    """Check the checkpoint that training will start from: mmengine would drop what does not fit."""
    start = cfg.get('load_from')
    if start is None:
        return
    fitting, wanted = check_checkpoint(
        unwrapped(runner.model), start, partial=not cfg.get('resume')
    )
    runner.logger.info(f'{fitting} of {wanted} parameters start from {start}')


def _use_amp(cfg: Config, name: str) -> None:
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    family = next((names for names in _PRECISIONS if kind in names), None)
    if family is None:
        raise ValueError(
            f'--amp replaces an OptimWrapper, but `optim_wrapper.type` of {name} is {kind}: train '
            'without --amp, or set up mixed precision in the config.'
        )
    _, on_gpu, on_cpu = family
    if torch.cuda.is_available():
        wrapper.type = on_gpu
        wrapper.setdefault('loss_scale', 'dynamic')
        return
    wrapper.type = on_cpu
    for scaling in ('loss_scale', 'dtype', 'use_fsdp'):
        wrapper.pop(scaling, None)


def _dump_predictions(cfg: Config, out: str) -> None:
    if Path(out).suffix not in ('.pkl', '.pickle'):
        raise ValueError(f'--out is {out}, but predictions are pickled: end it in .pkl or .pickle.')
    evaluators = cfg.get('test_evaluator') or []
    evaluators = list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]
    cfg.test_evaluator = [*evaluators, dict(type='DumpDetResults', out_file_path=out)]


def _draw_predictions(
    cfg: Config, name: str, show: bool, show_dir: str | None, wait_time: float
) -> None:
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            f'{name} has no `default_hooks.visualization`, which --show and --show-dir draw with: add '
            "`visualization=dict(type='DetVisualizationHook')` to its `default_hooks`."
        )
    hook.draw = True
    if show:
        hook.show, hook.wait_time = True, wait_time
    if show_dir:
        hook.test_out_dir = show_dir


def _use_tta(cfg: Config, name: str) -> None:
    missing = [f'`{key}`' for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise ValueError(
            f'{name} has no {" and no ".join(missing)}, which --tta needs: add '
            "`tta_model = dict(type='DetTTAModel', ...)` and a `tta_pipeline` with TestTimeAug, or "
            'test without --tta.'
        )
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:  # a wrapper such as RepeatDataset
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []),
        dict(type='PrepareTTAHook', tta_cfg=cfg.tta_model),
    ]
