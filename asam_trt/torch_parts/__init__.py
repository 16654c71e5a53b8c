"""Image encoder and latent networks in PyTorch, for inference on a GPU, from the tensors of the engine folder.

Nothing outside this folder imports it before a backend of the GPU does, and nothing in it needs segment_anything.
"""
