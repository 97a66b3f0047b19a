"""The engine's way on a GPU: host memory, streams, graphs, and the passage of `impasto.core.working_picture` in tensors."""
