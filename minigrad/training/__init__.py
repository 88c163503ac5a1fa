"""The Trainer, and what it works with: batches, losses, metrics, callbacks, history."""
