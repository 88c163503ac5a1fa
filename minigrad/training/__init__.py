"""The Trainer and its parts: batches, losses, metrics, callbacks, history, progress."""
