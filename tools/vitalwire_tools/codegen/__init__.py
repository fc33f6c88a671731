"""Generators: each writes checked-in files from `spec` and fails under `--check` when they are stale."""
