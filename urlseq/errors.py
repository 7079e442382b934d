"""All errors of this package: each is a `UrlseqError`, and the built-in error that says the same."""


class UrlseqError(Exception):
    """What all errors of this package are; the message says what was wrong, with which input, and what to do."""


class InvalidInput(UrlseqError, ValueError):
    """A text that a copy can't take: too long, with NUL, or no Unicode."""


class InvalidSetting(UrlseqError, ValueError):
    """An argument, or a combination of arguments, that does not make sense."""


class WrongType(UrlseqError, TypeError):
    """A value of a type that is not accepted here."""


class UnfitFunction(UrlseqError, ValueError):
    """A function that can't be copied from examples."""


class UnfitValue(UnfitFunction):
    """A function's value that can't be an answer: JSON can't hold it, or it is too long."""


class NoFunction(UrlseqError, LookupError):
    """The real function, or an inverse of it, is needed here, and is not known."""


class NotSaved(UrlseqError, OSError):
    """A copy that is learned, and could not be written: `copy` is it."""

    def __init__(self, copy, error: OSError):
        super().__init__(
            f"The copy is learned, but could not be saved ({error}). In a notebook, make room and call "
            "sys.last_value.copy.save(folder); on the command line, the same command goes on from the last epoch."
        )
        self.copy = copy


class BadModel(UrlseqError, ValueError):
    """A folder without a learned copy, or with a damaged one."""


class Forked(UrlseqError, RuntimeError):
    """A process that was forked from one in which copies were already at work."""


class ExportError(UrlseqError, ValueError):
    """An exported form that is missing, or that answers differently from the copy."""


class BadSource(UrlseqError, ValueError):
    """A file or table whose content can't be used."""


class WrongColumns(BadSource):
    """A table or frame whose columns are of other types or names than are needed."""


class MissingColumns(WrongColumns):
    """A table or frame without the columns that are needed."""


class MissingSource(UrlseqError, FileNotFoundError):
    """A file, folder, bucket or table that does not exist."""


class PrivateSource(UrlseqError, PermissionError):
    """A bucket that refuses this reader."""


class Unreachable(UrlseqError, ConnectionError):
    """A server that does not answer."""


class MissingPackage(UrlseqError, ModuleNotFoundError):
    """An optional package that is not installed."""


class NoJava(UrlseqError, OSError):
    """There is no Java, or one that is too old for Spark."""
