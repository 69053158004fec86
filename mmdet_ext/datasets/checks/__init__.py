"""The data set doctor: what is wrong with a data set, how often, where first, and the remedy."""

from .before_training import check_before_training
from .diagnosis import Diagnosis, diagnose
from .findings import Finding

__all__ = ['Diagnosis', 'Finding', 'check_before_training', 'diagnose']
