"""Files: tensors, checkpoints and whole models."""
