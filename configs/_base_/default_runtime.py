"""Runtime shared by all our configs; stock mmdet's plus what is said here."""

_base_ = 'mmdet::_base_/default_runtime.py'

# Registers everything of ours. Written once, here: a child's own list would replace it.
custom_imports = dict(imports=['mmdet_ext'], allow_failed_imports=False)

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10),
    checkpoint=dict(  # whole or not there, and resumed from exactly
        type='SafeCheckpointHook', interval=1, max_keep_ckpts=2, save_best='slot/f1', rule='greater'
    ),
    visualization=dict(type='ParkingSlotVisualizationHook'),
)
custom_hooks = [
    dict(type='ClassCheckHook'),
    dict(type='ScheduleCheckHook'),
    dict(type='NonFiniteGuardHook'),  # NaN stops it, and says in which image, module and loss
    dict(type='SampleSeedHook'),  # augmentation does not depend on the workers
    dict(type='InterruptHook'),  # Ctrl-C and SIGTERM save a checkpoint
    dict(type='KeepFreedMemoryHook'),  # on CPU a tenth faster
    dict(type='ChannelsLastHook'),  # a third faster on CPU, needed for tensor cores on GPU
    dict(type='ProgressBarHook'),  # in a terminal; elsewhere the lines of LoggerHook
    dict(type='TrainingCurvesHook'),  # results.csv and results.png in the work folder
    # Nothing without TensorboardVisBackend:
    dict(type='TensorboardChartsHook'),
    dict(type='TensorboardPRCurveHook'),
    dict(type='TensorboardGraphHook'),  # two seconds, once
]
# To watch a run with Visdom, add dict(type='VisdomVisBackend', start_server=True).
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
# Without the base's fixed name a second run in one process gets a visualizer of its own.
visualizer = dict(_delete_=True, type='ParkingSlotVisualizer', vis_backends=vis_backends)
randomness = dict(seed=0)
