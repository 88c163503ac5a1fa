"""The Trainer and its parts: batches, losses, metrics, callbacks, history, progress.

The public names are ``mg.Trainer``, ``mg.History``, ``mg.callbacks`` and ``mg.metrics``.
"""
