"""What hung GPUs need: variables set before the processes meet, and an end to waiting."""

_base_ = '../../psd_yolo.py'

environment = dict(NCCL_P2P_DISABLE='1')  # GPUs that cannot read each other's memory
env_cfg = dict(dist_cfg=dict(backend='nccl', timeout=600))  # seconds
