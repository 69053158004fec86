"""Export to ONNX, and the runtime of exported files, which needs neither torch nor mmdet."""
