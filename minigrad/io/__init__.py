"""Files: tensors, checkpoints and whole models, each in a file of this folder.

All are safetensors files, written atomically; no code in a file is ever run. The public names are
those of ``minigrad``: ``mg.save``, ``mg.load_model``, ...
"""
