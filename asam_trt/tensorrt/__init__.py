"""TensorRT engines: plans from an engine folder's parts, their cache, and what runs them.

Nothing here imports `tensorrt` or `pycuda` before it is used, see `asam_trt.tensorrt.libraries`. Checked against
NVIDIA's Python bindings and public headers; no plan has run on a GPU.
"""
