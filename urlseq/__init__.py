"""Copies ordinary Python functions by learning them from examples.

>>> from urlseq import copy_function
>>> parser = copy_function(urllib.parse.urlparse)
>>> parser("https://example.com/a?b=c#d")
['https', 'example.com', '/a', '', 'b=c', 'd']
"""

import contextlib
import importlib
import logging
import os

# TensorFlow reports each unused instruction set and each missing GPU library, in pages; errors still come through.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# It also warns of each new shape that a model meets; here texts of any length are the rule. A filter, since on
# being imported into a notebook it sets its logger's level anew.
logging.getLogger("tensorflow").addFilter(lambda record: record.levelno >= logging.ERROR)

__version__ = "0.1.0"

# Found on first use, so that `import urlseq` is quick and loads neither TensorFlow nor Spark.
PUBLIC = {
    "copy_function": "copying",
    "load": "copying",
    "LearnedCopy": "learned",
    "find_counterexample": "mining",
    "urls": "sampler",
}
__all__ = list(PUBLIC)


def __getattr__(name: str):
    if name in PUBLIC:
        return getattr(importlib.import_module(f"urlseq.{PUBLIC[name]}"), name)
    raise AttributeError(f"module 'urlseq' has no attribute {name!r}")


@contextlib.contextmanager
def quiet():
    """Drops what is written to the process' standard error meanwhile, such as what TensorFlow's own C++ code
    remarks while it is imported, which no setting silences. Exceptions are raised as ever.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
