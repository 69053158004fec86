"""Errors that say that memory ran out."""

# Of the CPU's and the GPU's allocators and of cuBLAS; torch has no one class for them.
_TEXTS = ('out of memory', 'not enough memory', "can't allocate memory", 'STATUS_ALLOC_FAILED')


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on the CPU or on a GPU.

    Linux may instead kill the process without a word when the machine's memory runs out.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)
