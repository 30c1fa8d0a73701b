"""The border where array files come in: ``.npy`` and ``.npz`` that people give to ``universality compare``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from universality.errors import InputError, refusal

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp

#: Arrays with one value for each row, as options and inside an archive are called.
ROW_ARRAYS = ("documents", "sources", "domains", "tokens", "positions", "next_tokens")


def load_matrix(path: Path) -> sp.csr_array:
    """One model's activations, (rows, latents): scipy sparse ``.npz``, or a dense ``.npy`` or ``.npz``.

    Raises:
        InputError: no such file, pickled content, another format, a file that ends early, or what
            :func:`universality.matrices.as_csr` refuses.
    """
    import numpy as np
    import scipy.sparse as sp

    from universality.matrices import as_csr

    with _opened(path) as (handle, content):
        is_sparse = not isinstance(content, np.ndarray) and {"format", "shape"} <= set(content.files)
        handle.seek(0)
        matrix = sp.load_npz(handle) if is_sparse else _matrix(content, path)
    return as_csr(matrix, path.name)


def load_dense(path: Path) -> np.ndarray:
    """A dense matrix: ``.npy``, or the only array of an ``.npz``.

    Raises:
        InputError: no such file, pickled content, a file that ends early, several arrays, or not two-dimensional.
    """
    with _opened(path) as (_, content):
        return _matrix(content, path)


def _matrix(content: Any, path: Path) -> np.ndarray:
    import numpy as np

    if not isinstance(content, np.ndarray):
        if len(content.files) != 1:
            constraint = "one, or those of scipy.sparse.save_npz"
            raise refusal("arrays", path.name, constraint, content.files, "Save one matrix.")
        content = content[content.files[0]]
    if content.ndim != 2:
        constraint = "two-dimensional (rows, columns)"
        raise refusal("array", path.name, constraint, content.shape, "Reshape and save it again.")
    return content


def load_rows(path: Path, what: str) -> np.ndarray:
    """One value for each row; text becomes codes in the order of the alphabet, but for domains, which keep it.

    Args:
        path: ``.npy``, or an ``.npz`` with the array of that name, or with one array of no other name of
            :data:`ROW_ARRAYS`.
        what: the name, one of :data:`ROW_ARRAYS`.

    Raises:
        InputError: no such file, pickled content, a file that ends early, no such array, or not one-dimensional.
    """
    import numpy as np

    with _opened(path) as (_, content):
        array = content
        if not isinstance(content, np.ndarray):
            names = list(content.files)
            named = what in names
            if not named and (len(names) != 1 or names[0] in ROW_ARRAYS):
                remedy = f"Save it under that name: numpy.savez(file, {what}=...)."
                raise refusal(f"arrays for --{what}", path.name, f"one called {what!r}", names, remedy)
            array = content[what if named else names[0]]
    if array.ndim != 1:
        got = f"shape {array.shape}"
        raise refusal(f"--{what}", path.name, "one value for each row", got, "Save a 1-d array.")
    if array.dtype.kind in "US" and what != "domains":
        return np.unique(array, return_inverse=True)[1]
    return array


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], Any]]:
    """An open file, and the array or archive in it; whatever goes wrong becomes one sentence that names the file."""
    import numpy as np

    try:
        with path.open("rb") as handle:  # of its own: numpy leaves one open where an archive is broken
            yield handle, np.load(handle, allow_pickle=False)
    except InputError:
        raise
    except FileNotFoundError:
        raise refusal("file", "compare", "there", str(path), "Check the path.") from None
    except Exception as error:
        constraint, remedy = "a whole .npy or .npz without pickles", "Save it again, with numpy or scipy."
        raise refusal("content", path.name, constraint, _reason(error), remedy) from error


def _reason(error: Exception) -> str:
    """What is wrong with a file, where numpy would give advice on its own options."""
    said = str(error).split("\n", maxsplit=1)[0]
    if "pickled" in said:
        return "pickled objects, or a file of another kind"
    if type(error).__name__ == "BadZipFile":
        return "an archive that is cut short or damaged"
    return f"{type(error).__name__}: {said}"
