"""Parquet tables of URLs on the disk, on S3 or behind HTTPS, such as web archives' indexes, read with Arrow.

A table is a list of its files, as Arrow's fragments; only the columns and row groups that are asked for are read.
"""

import bisect
import contextlib
import gzip
import itertools
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
from pyarrow.dataset import FileSystemDatasetFactory, ParquetFileFormat, ParquetFileFragment, field

from urlseq.errors import BadSource, MissingColumns, MissingPackage, MissingSource, PrivateSource, Unreachable
from urlseq.sampling import LabelledInput, is_held_out

FILE_NAME = re.compile(r"\.(parquet|parq|pq)(\.gz(ip)?)?$", re.IGNORECASE)
PAGE_ROWS = 8192  # the rows drawn from one row group before another one is chosen
EMPTY_PAGES = 1000  # after so many pages in a row without an input there is hardly any in the table
WAITS = [1, 2, 4, 8, 16, 0]  # the seconds after each request that failed; after the last one it is given up
# Words in the errors of Arrow and of Java, and the error that each of them stands for.
TRACES = [
    ("NoSuchBucket|UnknownStoreException|NO_SUCH_BUCKET", MissingSource, "There is no bucket {bucket}."),
    ("AccessDenied|Status Code: 403|ACCESS_DENIED", PrivateSource, "{bucket} is private: it refuses anonymous "
     "readers. Where you have an account: anonymous=False. Common Crawl needs none by tables.common_crawl_table."),
    ("PATH_NOT_FOUND|FileNotFoundException|Path does not exist", MissingSource, "There is no table {path}."),
    ("PARQUET_TYPE_ILLEGAL", BadSource, "This session does not read nanoseconds, which {path} holds: "
     "session.conf.set('spark.sql.legacy.parquet.nanosAsLong', True) makes them whole numbers."),
    (r"CANNOT_READ_FILE_FOOTER|is not a Parquet file", BadSource, "A file of {path} is damaged, or no parquet."),
    ("Relative path in absolute URI", BadSource, "Spark reads no file with a colon in its name, and no pattern beside "
     "one: rename what is in {path}, or read it with urlseq.tables."),
    ("UNABLE_TO_INFER_SCHEMA", MissingSource, "There is no parquet file in {path}."),
    ("No FileSystem for scheme|S3AFileSystem not found", MissingSource, "This session has no S3 support, for {path}. "
     "Stop it, and urlseq.spark.session() starts one that has; with s3=False it is used for tables elsewhere."),
    ("UnknownHost|Connection refused|ConnectException|connect timed out|Unable to execute HTTP|not an S3|"
     "Status Code: 400|XmlParse|AWSS3IOException|AWSServiceIOException|AWS Error [A-Z_]+", Unreachable,
     "No S3 server answers for {bucket} ({word}): is there a network, and is the endpoint right?"),
]  # fmt: skip
Table = list[ParquetFileFragment]  # the files of a table, in order


@contextlib.contextmanager
def translate_errors(path: str, kinds: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Makes one line of a page of Java's or Amazon's words about a table that can't be read, by `TRACES`."""
    bucket = re.sub(r"^(\w+://[^/]+).*", r"\1", path)
    try:
        yield
    except kinds as error:
        for pattern, kind, message in TRACES:
            if found := re.search(pattern, str(error)):
                raise kind(message.format(path=path, bucket=bucket, word=found[0])) from None
        raise


def local_table(path: str | Path) -> Table:
    """A parquet file, or all those in a folder and in the folders within. Raises MissingSource."""
    path, filesystem = Path(path), pyarrow.fs.LocalFileSystem()
    if not path.exists():
        raise MissingSource(f"There is no table {path}.")
    return fragments(files_in(str(path), filesystem) if path.is_dir() else [str(path)], filesystem, str(path))


def files_in(folder: str, filesystem: pyarrow.fs.FileSystem) -> list[str]:
    """The parquet files in a folder and in the folders within; Arrow passes over names that begin with `.` or `_`."""
    selector = pyarrow.fs.FileSelector(folder, recursive=True)
    found = FileSystemDatasetFactory(filesystem, selector, ParquetFileFormat()).finish(pa.schema([])).files
    return sorted(path for path in found if FILE_NAME.search(path))


def s3_table(path: str, anonymous: bool = True, region: str = "us-east-1", endpoint: str | None = None) -> Table:
    """The parquet files below `s3://bucket/folder`, for anyone or for the configured account. Raises as in `TRACES`."""
    filesystem = pyarrow.fs.S3FileSystem(anonymous=anonymous, region=region, endpoint_override=endpoint)
    with translate_errors(path):
        return fragments(files_in(path.split("://")[-1].rstrip("/"), filesystem), filesystem, path)


def common_crawl_table(crawl: str, server: str = "https://data.commoncrawl.org") -> Table:
    """One crawl, such as `CC-MAIN-2025-33`, in Common Crawl's index over HTTPS; no account. Raises Unreachable."""
    listing = f"{server}/crawl-data/{crawl}/cc-index-table.paths.gz"
    names = gzip.decompress(with_retries(lambda: http_filesystem().cat_file(listing), listing)).decode().split()
    return http_table([f"{server}/{name}" for name in names if "/subset=warc/" in name])


def http_table(addresses: Sequence[str]) -> Table:
    """The parquet files at these addresses, of which parts are read by range requests. Raises MissingPackage."""

    class Handler(pyarrow.fs.FSSpecHandler):
        def open_input_file(self, path: str) -> pa.PythonFile:  # Arrow's takes a busy server for a missing file
            return pa.PythonFile(self.fs.open(path, mode="rb"), mode="r")

    return fragments(addresses, pyarrow.fs.PyFileSystem(Handler(http_filesystem())), "this list of addresses")


def http_filesystem() -> Any:
    """fsspec's, without read-ahead: Arrow asks for whole column chunks, and each read is one range request."""
    try:
        from fsspec.implementations.http import HTTPFileSystem
    except ImportError as error:
        raise MissingPackage(f"HTTPS needs two packages more ({error}): pip install fsspec aiohttp") from None
    return HTTPFileSystem(cache_type="none")


def fragments(paths: Sequence[str], filesystem: pyarrow.fs.FileSystem, where: str) -> Table:
    """A table of these files, none of which is opened yet. Raises MissingSource where there is none."""
    if not paths:
        raise MissingSource(f"There is no parquet file in {where}.")
    return [ParquetFileFormat().make_fragment(path, filesystem) for path in paths]


def with_retries(read: Callable[[], Any], address: str) -> Any:
    """What `read` returns; where a server is busy (403, 429, 503) or breaks off, it is asked again, later and later."""
    for wait in WAITS:
        try:
            return read()
        except Exception as error:
            failure, reason = failure_of(error), str(error) or type(error).__name__
            if not failure:
                if isinstance(error, FileNotFoundError):
                    raise MissingSource(f"There is no file {address}.") from None
                kinds = (pa.ArrowException, UnicodeDecodeError)
                if isinstance(error, kinds) or (type(error) is OSError and not error.errno):
                    raise BadSource(f"{address} can't be read as parquet: {reason.splitlines()[0]}") from None
                raise
        if wait:
            print(f"{address} {failure} a request; asking again in {wait} s.", flush=True)
            time.sleep(wait)
    raise Unreachable(f"{address} {failure} each of {len(WAITS)} requests: {reason}. Check the address, or try later.")


def failure_of(error: BaseException | None) -> str:
    """Such as "answered 503 to", or "broke off", where the server may do better later; "" for any other error."""
    while error is not None:
        if isinstance(status := getattr(error, "status", None), int):
            return f"answered {status} to" if status in (403, 429, 503) else ""
        names = {kind.__name__ for kind in type(error).__mro__}
        broken_off = names & {"ConnectionError", "TimeoutError", "ClientPayloadError", "ClientConnectionError"}
        if broken_off or "NETWORK_CONNECTION" in str(error):  # of Arrow's S3 client
            return "broke off"
        error = error.__cause__ or error.__context__  # fsspec makes FileNotFoundError of all errors
    return ""


def find_columns(columns: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    """Those of the table's own `names` that are meant by `columns`, though in another case. Raises MissingColumns."""
    alike = {each: [each] if each in names else [name for name in names if name.lower() == each.lower()]
             for each in columns}  # fmt: skip
    if missing := [column for column, found in alike.items() if len(found) != 1]:
        raise MissingColumns(f"{where} has no column {', '.join(missing)}; it has {', '.join(names)}.")
    return [found[0] for found in alike.values()]


def open_fragment(fragment: ParquetFileFragment, columns: Sequence[str], text: bool = False) -> ParquetFileFragment:
    """The same file with its footer read. Raises MissingColumns, and BadSource where columns have to be `text`."""
    with_retries(fragment.ensure_complete_metadata, fragment.path)
    schema = fragment.physical_schema
    names = find_columns(columns, with_retries(lambda: schema.names, fragment.path), fragment.path)
    if text and (other := [each for each in schema if each.name in names and not is_text(each.type)]):
        raise BadSource(f"Column {other[0].name!r} of {fragment.path} holds {other[0].type}, not text. Convert it to "
                        "text first, as Arrow's column.cast('string') does.")  # fmt: skip
    return fragment


def is_text(kind: pa.DataType) -> bool:
    """Whether Arrow reads a column of this type as text, or as nulls alone, which any type might be."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return str(kind) in ("string", "large_string", "string_view", "extension<arrow.json>", "null")


def read(fragment: ParquetFileFragment, columns: Sequence[str]) -> pa.Table:
    """These columns of an opened file, called as they are here, with text of any type as Arrow's `string`."""
    names = find_columns(columns, fragment.physical_schema.names, fragment.path)
    kinds = [each.with_type(pa.string()) if is_text(each.type) else each for each in fragment.physical_schema]
    fields = dict(zip(columns, map(field, names), strict=True))
    found = with_retries(lambda: fragment.to_table(schema=pa.schema(kinds), columns=fields), fragment.path)
    with_retries(lambda: found.validate(full=True), fragment.path)  # parquet may call text what is no UTF-8
    return found


def column_names(path: str | Path) -> list[str]:
    """The names of the columns of a local table, by its first file."""
    return open_fragment(local_table(path)[0], []).physical_schema.names


def read_column(path: str | Path, column: str) -> list[str]:
    """The texts in a column of a local table, without nulls. Raises MissingColumns, or BadSource if it has no texts."""
    return read_columns(path, [column], text=True)[column].drop_null().to_pylist()


def read_columns(path: str | Path, columns: Sequence[str], text: bool = False) -> pa.Table:
    """These columns of a local table, which have to be `text` or not. Raises MissingColumns and BadSource."""
    parts = [open_fragment(part, columns, text) for part in local_table(path)]
    pages = [read(part, columns) for part in parts]
    return with_retries(lambda: pa.concat_tables(pages, promote_options="permissive"), str(path))


def sample(table: Table, count: int, columns: Sequence[str] = ("url",), seed: int = 0,
           row_groups: int = 16) -> pa.Table:  # fmt: skip
    """`count` random rows (fewer if the row groups have fewer), drawn from row groups all over the table.

    As one file of a sorted table is one corner of the web, each row group comes from another, while there are any.
    """
    rng, pages = random.Random(seed), []
    opened = (file for file in rng.sample(table, len(table)) if open_fragment(file, columns).metadata.num_rows)
    if not (files := list(itertools.islice(opened, row_groups))):
        raise BadSource(f"The table of {table[0].path} has no rows.")
    for file in itertools.islice(itertools.cycle(files), row_groups):
        group = rng.randrange(file.num_row_groups)
        rows = read(file.subset(row_group_ids=[group]), columns)
        pages.append(rows.take(rng.sample(range(len(rows)), min(len(rows), -(-count // row_groups)))))
    page = with_retries(lambda: pa.concat_tables(pages, promote_options="permissive"), table[0].path)
    return page.take(rng.sample(range(len(page)), min(count, len(page))))


class TableSampler:
    """A sampler over a table of any size. Memory holds a page of rows, and 1 kB for each column of each row group.

    What it draws depends on the random generator alone: a new one begins a new page, random rows of a row group, and
    chooses the next page. So training can make any chunk of batches again. For batches that are a mixture,
    `spark.write_training_table` mixes the rows and makes small row groups.
    """

    def __init__(self, table: Table | str | Path, column: str = "url"):
        """Inputs come from `column`; where the table has a column `answer`, they carry it."""
        files = local_table(table) if isinstance(table, str | Path) else table
        names = open_fragment(files[0], [column]).physical_schema.names
        self.columns = [column, "answer"] if "answer" in names and column != "answer" else [column]
        groups = [group for file in files for group in open_fragment(file, self.columns, True).split_by_row_group()]
        self.groups = [group for group in groups if group.row_groups[0].num_rows > 0]
        self.rows_up_to = list(itertools.accumulate(group.row_groups[0].num_rows for group in self.groups))
        self.folder = os.path.commonprefix([file.path for file in files]).rpartition("/")[0]
        if not self.groups:
            raise BadSource(f"The table in {self.folder} has no rows.")
        self.rng: random.Random | None = None
        self.page: Iterator[str] = iter(())

    def __len__(self) -> int:
        return self.rows_up_to[-1]

    def __call__(self, rng: random.Random) -> str:
        """The next input. Raises BadSource where page after page has none."""
        if rng is not self.rng:
            self.rng, self.page = rng, iter(())
        for _ in range(EMPTY_PAGES):
            if (text := next(self.page, None)) is not None:
                return text
            self.page = self.random_page(rng)
        raise BadSource(
            f"Hardly any row of the table in {self.folder} has {' and '.join(self.columns)}, without nulls: there was "
            f"none in {EMPTY_PAGES:,} random pages. Fill these columns, or drop a column of answers that is empty."
        )

    def random_page(self, rng: random.Random) -> Iterator[str]:
        """Random rows of a random row group without those that hold a null; each is as likely as any other."""
        group = self.groups[bisect.bisect(self.rows_up_to, rng.randrange(len(self)))]
        rows = read(group, self.columns)
        page = rows.take(rng.sample(range(len(rows)), min(len(rows), PAGE_ROWS))).drop_null()
        texts, *answers = [page[name].to_pylist() for name in self.columns]
        return map(LabelledInput, texts, *answers) if answers else iter(texts)

    @staticmethod
    def is_held_out(text: str) -> bool:
        """Whether a URL belongs to validation: its host decides, so that no host is ever on both sides."""
        return is_held_out(host_of(text))


AUTHORITY = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^/?#:]*)")


def host_of(text: str) -> str:
    """The host of a URL in lower case; of a text without one, the text itself."""
    found = AUTHORITY.match(text)
    return found[1].lower() if found and found[1] else text
