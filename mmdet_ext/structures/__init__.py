"""Geometry of marking points and slots: plain functions on arrays and tensors."""
