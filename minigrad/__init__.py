"""minigrad: define-by-run automatic differentiation on NumPy.

>>> import minigrad as mg
>>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> with mg.GradientTape() as tape:
...     y = (x * x).sum()
>>> tape.gradient(y, x)
tensor([2., 4., 6.])

This file is the table of contents: ``__all__`` lists the public names by subject. What not every
program needs is imported when it is first used (see :mod:`minigrad.lazy`).
"""

# fmt: off
# isort: off

from typing import TYPE_CHECKING

from minigrad.lazy import late_names

from minigrad.engine import recording as _recording  # noqa: F401 (operators run by it)  # pyright: ignore[reportUnusedImport]
from minigrad.engine.tensor import Tensor
from minigrad.engine.creation import (
    arange, eye, full, full_like, linspace, ones, ones_like, tensor, zeros, zeros_like,
)
from minigrad.engine.tape import GradientTape, stop_gradient
from minigrad.engine.switches import is_recording, no_grad

from minigrad.operators.arithmetic import (
    abs, absolute, add, clip, copysign, divide, divmod, fabs, floor_divide, fmax, fmin, fmod,
    heaviside, ldexp, maximum, minimum, mod, modf, multiply, nan_to_num, negative, positive,
    remainder, sign, subtract, true_divide,
)
from minigrad.operators.exponential import (
    cbrt, exp, exp2, expm1, float_power, log, log10, log1p, log2, logaddexp, logaddexp2, pow,
    power, reciprocal, sqrt, square,
)
from minigrad.operators.hyperbolic import (
    acosh, arccosh, arcsinh, arctanh, asinh, atanh, cosh, sinh, tanh,
)
from minigrad.operators.reductions import (
    amax, amin, logsumexp, max, mean, min, prod, ptp, std, sum, var,
)
from minigrad.operators.products import (
    cross, dot, inner, kron, matmul, matvec, multi_dot, outer, vdot, vecdot, vecmat,
)
from minigrad.operators.shapes import (
    astype, atleast_1d, atleast_2d, atleast_3d, broadcast_arrays, broadcast_to, copy, expand_dims,
    flip, fliplr, flipud, imag, matrix_transpose, meshgrid, moveaxis, permute_dims, ravel, real,
    repeat, reshape, resize, roll, rollaxis, rot90, squeeze, swapaxes, tile, transpose,
)
from minigrad.operators.indexing import (
    choose, compress, extract, getitem, piecewise, scatter, select, take, take_along_axis, where,
    where_safe,
)
from minigrad.operators.nondifferentiable import (
    all, angle, any, argmax, argmin, argsort, bitwise_and, bitwise_not, bitwise_or, bitwise_xor,
    ceil, count_nonzero, equal, fix, floor, greater, greater_equal, invert, isclose, iscomplex,
    isfinite, isinf, isnan, isneginf, isposinf, isreal, left_shift, less, less_equal, logical_and,
    logical_not, logical_or, logical_xor, nonzero, not_equal, right_shift, rint, round,
    searchsorted, signbit, trunc,
)

__version__ = "0.1.0"

__all__ = [
    # tensors
    "Tensor", "tensor", "zeros", "ones", "full", "eye", "arange", "linspace", "zeros_like",
    "ones_like", "full_like", "rand", "randn", "manual_seed",
    # gradients
    "GradientTape", "stop_gradient", "no_grad", "is_recording", "grad", "value_and_grad", "vjp",
    "jvp", "hvp", "jacobian", "hessian", "custom_gradient", "checkpoint",
    # models and training
    "nn", "optim", "data", "models", "Trainer", "History", "callbacks", "metrics", "viz",
    "distributed",
    # files
    "save", "load", "load_metadata", "save_checkpoint", "load_checkpoint", "save_model",
    "load_model", "onnx",
    # looking inside, and proving gradients
    "make_dot", "film", "summary", "Summary", "observe", "explain", "detect_anomaly",
    "AnomalyError",
    "show_config", "testing",
    # arithmetic
    "abs", "absolute", "add", "clip", "copysign", "divide", "divmod", "fabs", "floor_divide",
    "fmax", "fmin", "fmod", "heaviside", "ldexp", "maximum", "minimum", "mod", "modf", "multiply",
    "nan_to_num", "negative", "positive", "remainder", "sign", "subtract", "true_divide",
    # powers, exponentials and logarithms
    "cbrt", "exp", "exp2", "expm1", "float_power", "log", "log10", "log1p", "log2", "logaddexp",
    "logaddexp2", "pow", "power", "reciprocal", "sqrt", "square",
    # special functions
    "digamma", "erf", "erfc", "gammaln", "xlogy",
    # trigonometric functions
    "acos", "arccos", "arcsin", "arctan", "arctan2", "asin", "atan", "atan2", "cos", "deg2rad",
    "degrees", "hypot", "rad2deg", "radians", "sin", "sinc", "tan", "unwrap",
    # hyperbolic functions
    "acosh", "arccosh", "arcsinh", "arctanh", "asinh", "atanh", "cosh", "sinh", "tanh",
    # reductions, also without NaN
    "amax", "amin", "logsumexp", "max", "mean", "min", "prod", "ptp", "std", "sum", "var",
    "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum",
    "nanvar",
    # cumulative sums and differences
    "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "diff", "ediff1d", "gradient",
    "logcumsumexp", "trapezoid",
    # order and statistics
    "median", "nanmedian", "nanpercentile", "nanquantile", "partition", "percentile", "quantile",
    "sort", "average", "bincount", "corrcoef", "cov",
    # products
    "cross", "dot", "inner", "kron", "matmul", "matvec", "multi_dot", "outer", "vdot", "vecdot",
    "vecmat", "einsum", "tensordot",
    # linear algebra
    "linalg", "diag", "diagflat", "diagonal", "trace", "tril", "triu", "det", "inv",
    "matrix_exp", "matrix_power", "pinv", "slogdet", "solve", "solve_triangular", "tensorinv",
    "tensorsolve", "cholesky", "eigh",
    "eigvalsh", "lstsq", "matrix_rank", "qr", "svd", "svdvals", "cond", "matrix_norm", "norm",
    "vector_norm",
    # shapes
    "astype", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to", "copy",
    "expand_dims", "flip", "fliplr", "flipud", "imag", "matrix_transpose", "meshgrid", "moveaxis",
    "permute_dims", "ravel", "real", "repeat", "reshape", "resize", "roll", "rollaxis", "rot90",
    "squeeze", "swapaxes", "tile", "transpose", "pad",
    # joining and splitting
    "append", "array_split", "block", "column_stack", "concat", "concatenate", "delete", "dsplit",
    "dstack", "hsplit", "hstack", "insert", "split", "stack", "unstack", "vsplit", "vstack",
    # choosing elements
    "choose", "compress", "extract", "getitem", "piecewise", "scatter", "select", "take",
    "take_along_axis", "where", "where_safe",
    # polynomials and signals
    "polyadd", "polyder", "polyint", "polymul", "polysub", "polyval", "vander", "convolve",
    "correlate", "interp",
    # constant functions: comparisons, logic, rounding, positions
    "all", "angle", "any", "argmax", "argmin", "argpartition", "argsort", "argwhere",
    "bitwise_and", "bitwise_count", "bitwise_not", "bitwise_or", "bitwise_xor", "ceil",
    "count_nonzero", "digitize", "equal", "fix", "flatnonzero", "floor", "gcd", "greater",
    "greater_equal", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd",
    "intersect1d", "invert", "isclose", "iscomplex", "isfinite", "isin", "isinf", "isnan",
    "isneginf", "isposinf", "isreal", "lcm", "left_shift", "less", "less_equal", "lexsort",
    "logical_and", "logical_not", "logical_or", "logical_xor", "nanargmax", "nanargmin", "nonzero",
    "not_equal", "packbits", "ravel_multi_index", "right_shift", "rint", "round", "searchsorted",
    "setdiff1d", "setxor1d", "signbit", "trunc", "union1d", "unique", "unpackbits", "unravel_index",
]

if TYPE_CHECKING:
    from minigrad import callbacks, data, distributed
    from minigrad import metrics, models, nn, onnx, optim, testing, viz
    from minigrad.debug.anomaly import AnomalyError, detect_anomaly
    from minigrad.debug.environment import show_config
    from minigrad.debug.explain import explain
    from minigrad.debug.profile import observe
    from minigrad.debug.summary import Summary, summary
    from minigrad.engine.checkpoint import checkpoint
    from minigrad.engine.custom_gradient import custom_gradient
    from minigrad.engine.random import manual_seed, rand, randn
    from minigrad.engine.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
    from minigrad.graph import film as film, make_dot
    from minigrad.io.checkpoints import load_checkpoint, save_checkpoint
    from minigrad.io.models import load_model, save_model
    from minigrad.io.tensors import load, load_metadata, save
    from minigrad.operators import linalg
    from minigrad.operators.joining import (
        append, array_split, block, column_stack, concat, concatenate, delete, dsplit, dstack,
        hsplit, hstack, insert, split, stack, unstack, vsplit, vstack,
    )
    from minigrad.operators.trigonometric import (
        acos, arccos, arcsin, arctan, arctan2, asin, atan, atan2, cos, deg2rad, degrees, hypot,
        rad2deg, radians, sin, sinc, tan, unwrap,
    )
    from minigrad.operators.cumulative import (
        cumprod, cumsum, cumulative_prod, cumulative_sum, diff, ediff1d, gradient, logcumsumexp,
        trapezoid,
    )
    from minigrad.operators.sorting import (
        median, nanmedian, nanpercentile, nanquantile, partition, percentile, quantile, sort,
    )
    from minigrad.operators.statistics import average, bincount, corrcoef, cov
    from minigrad.operators.nan_reductions import (
        nanargmax, nanargmin, nancumprod, nancumsum, nanmax, nanmean, nanmin, nanprod, nanstd,
        nansum, nanvar,
    )
    from minigrad.operators.einsum import einsum, tensordot
    from minigrad.operators.diagonals import diag, diagflat, diagonal, trace, tril, triu
    from minigrad.operators.matrix_inverses import (
        det, inv, matrix_exp, matrix_power, pinv, slogdet, solve, solve_triangular, tensorinv,
        tensorsolve,
    )
    from minigrad.operators.decompositions import (
        cholesky, eigh, eigvalsh, lstsq, matrix_rank, qr, svd, svdvals,
    )
    from minigrad.operators.norms import cond, matrix_norm, norm, vector_norm
    from minigrad.operators.sets_and_bins import (
        argpartition, argwhere, bitwise_count, digitize, flatnonzero, gcd, histogram, histogram2d,
        histogram_bin_edges, histogramdd, intersect1d, isin, lcm, lexsort, packbits,
        ravel_multi_index, setdiff1d, setxor1d, union1d, unique, unpackbits, unravel_index,
    )
    from minigrad.operators.polynomials import (
        polyadd, polyder, polyint, polymul, polysub, polyval, vander,
    )
    from minigrad.operators.signals import convolve, correlate, interp
    from minigrad.operators.padding import pad
    from minigrad.operators.special import digamma, erf, erfc, gammaln, xlogy
    from minigrad.training.history import History
    from minigrad.training.trainer import Trainer
else:
    #: Where the names are that are imported at first use; operators are in `rest`.
    __getattr__, __dir__ = late_names(
        __name__,
        {
            __name__: "callbacks data distributed metrics models nn onnx optim testing viz",
            "minigrad.debug.anomaly": "AnomalyError detect_anomaly",
            "minigrad.debug.environment": "show_config",
            "minigrad.debug.explain": "explain",
            "minigrad.debug.profile": "observe",
            "minigrad.debug.summary": "Summary summary",
            "minigrad.engine.checkpoint": "checkpoint",
            "minigrad.engine.custom_gradient": "custom_gradient",
            "minigrad.engine.random": "manual_seed rand randn",
            "minigrad.engine.transforms": "grad hessian hvp jacobian jvp value_and_grad vjp",
            "minigrad.graph": "film make_dot",
            "minigrad.io.checkpoints": "load_checkpoint save_checkpoint",
            "minigrad.io.models": "load_model save_model",
            "minigrad.io.tensors": "load load_metadata save",
            "minigrad.training.history": "History",
            "minigrad.training.trainer": "Trainer",
        },
        rest="minigrad.operators.on_demand",
    )
