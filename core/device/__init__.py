"""The picture path on a GPU: transfer, streams, CUDA graphs, and `impasto.core.working_picture` in tensors."""
