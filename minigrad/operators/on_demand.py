"""The operators that most programs never call: loaded when one of them is first asked for.

``mg.cov`` and ``np.cov(tensor)`` find them here. Without them, ``import minigrad`` takes a third
less time.
"""

# pyright: reportUnusedImport=false

from minigrad.operators import linalg as linalg
from minigrad.operators.cumulative import *
from minigrad.operators.decompositions import *
from minigrad.operators.diagonals import *
from minigrad.operators.einsum import *
from minigrad.operators.matrix_inverses import *
from minigrad.operators.nan_reductions import *
from minigrad.operators.norms import *
from minigrad.operators.padding import *
from minigrad.operators.polynomials import *
from minigrad.operators.signals import *
from minigrad.operators.sorting import *
from minigrad.operators.statistics import *
