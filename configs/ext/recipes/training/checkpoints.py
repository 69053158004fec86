"""The last two checkpoints and the best one, and that one again without the training's state."""

_base_ = '../../psd_yolo.py'

train_cfg = dict(val_interval=2)
default_hooks = dict(
    checkpoint=dict(
        interval=2,
        max_keep_ckpts=2,
        save_best='slot/f1',
        rule='greater',
        published_keys=['meta', 'state_dict'],
    )
)
