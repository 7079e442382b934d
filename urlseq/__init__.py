"""Copies ordinary Python functions by learning them from examples.

>>> from urlseq import load
>>> load("urlparse")("https://example.com/a?b=c#d")
['https', 'example.com', '/a', '', 'b=c', 'd']
"""

import contextlib
import importlib
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urlseq.counterexamples import find_counterexample as find_counterexample
    from urlseq.errors import UrlseqError as UrlseqError
    from urlseq.learn import copy_function as copy_function
    from urlseq.learned import LearnedCopy as LearnedCopy
    from urlseq.lite import LiteCopy as LiteCopy
    from urlseq.lite import load_lite as load_lite
    from urlseq.model import Architecture as Architecture
    from urlseq.samplers import urls as urls
    from urlseq.store import load as load
    from urlseq.task import Task as Task
    from urlseq.task import Training as Training

# TensorFlow reports each unused instruction set and each missing GPU library, in pages; errors still come through.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# It also warns of each new shape that a model meets; here inputs of any length are the rule. A filter, since on
# being imported into a notebook it sets its logger's level anew.
logging.getLogger("tensorflow").addFilter(lambda record: record.levelno >= logging.ERROR)

__version__ = "0.2.0"

# Imported on first use, so that `import urlseq` is quick and loads neither TensorFlow nor Spark.
PUBLIC = {"Architecture": "model", "LearnedCopy": "learned", "LiteCopy": "lite", "Task": "task", "Training": "task",
          "UrlseqError": "errors", "copy_function": "learn", "find_counterexample": "counterexamples",
          "load": "store", "load_lite": "lite", "urls": "samplers"}  # fmt: skip
__all__ = [*PUBLIC, "quiet"]


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        try:
            return getattr(importlib.import_module(f"urlseq.{PUBLIC[name]}"), name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("urlseq"):
                raise
            from urlseq.errors import MissingPackage

            advice = f"{name} needs {error.name}: pip install -e '.[learn]' in its folder. load_lite answers without."
            raise MissingPackage(advice) from None
    raise AttributeError(f"module 'urlseq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what is written to the process' standard error meanwhile, such as what TensorFlow's own C++ code
    remarks while it is imported, which no setting silences. Exceptions are raised as ever.
    """
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
