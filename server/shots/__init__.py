"""Shot jobs: paths in, paths out."""
