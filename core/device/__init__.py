"""The engine's way on a GPU: transfer, streams, graphs, and `impasto.core.working_picture` in tensors."""
