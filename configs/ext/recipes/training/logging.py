"""A line every 50 iterations, means over as many, exact times."""

_base_ = '../../psd_yolo.py'

log_level = 'INFO'  # DEBUG, INFO, WARNING, ERROR or CRITICAL
default_hooks = dict(logger=dict(interval=50, log_metric_by_epoch=True))
log_processor = dict(window_size=50)
