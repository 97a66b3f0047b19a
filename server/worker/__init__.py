"""The worker: the process that owns one device and paints."""
