"""Looking into a computation: its operators, its NaNs, its tape and its model as tables.

``profile`` notes what each operator did, ``anomaly`` finds the first NaN, ``explain`` says why a
gradient is None or zero; ``tape_table`` and ``summary`` print the tape and the model, and
``environment`` prints what the library runs on. The other files hold what these share.
"""
