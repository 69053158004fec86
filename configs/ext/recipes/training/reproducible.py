"""The same run twice gives the same weights, bit for bit."""

_base_ = '../../psd_yolo.py'

randomness = dict(seed=42, deterministic=True)
env_cfg = dict(cudnn_benchmark=False)
