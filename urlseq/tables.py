"""Parquet tables of URLs, wherever they lie: on the disk, on S3, behind HTTPS. Arrow reads them; no Spark is needed.

The columnar indexes of web archives are such tables: a row for each captured URL, sorted by host, in files (parts)
of a gigabyte that consist of row groups. Only the columns and the row groups that are asked for are read.
"""

import bisect
import dataclasses
import functools
import gzip
import itertools
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from urlseq.files import beside
from urlseq.functions import LabelledText
from urlseq.sampler import LOWER, SECOND_LEVEL, characters, host_name, is_held_out, urls

COMMON_CRAWL = "https://data.commoncrawl.org"
# Rows drawn from one row group before another one is chosen.
PAGE_ROWS = 8192
# After so many pages in a row without a text there is hardly any in the table.
EMPTY_PAGES = 1000
# The End-of-Term archive's columns. Common Crawl's index has two more, and its partitions only in its paths.
PARTS_OF_HOST = [f"url_host_{place}_last_part" for place in ("2nd", "3rd", "4th", "5th")]
TEXTS_BEFORE = ["url_surtkey", "url", "url_host_name", "url_host_tld", *PARTS_OF_HOST, "url_host_registry_suffix",
                "url_host_registered_domain", "url_host_private_suffix", "url_host_private_domain",
                "url_host_name_reversed", "url_protocol"]  # fmt: skip
TEXTS_AFTER = ["content_digest", "content_mime_type", "content_mime_detected", "content_charset",
               "content_languages", "warc_filename"]  # fmt: skip
SCHEMA = pa.schema(
    [(name, pa.string()) for name in TEXTS_BEFORE]
    + [("url_port", pa.int32()), ("url_path", pa.string()), ("url_query", pa.string())]
    + [("fetch_time", pa.timestamp("us", "UTC")), ("fetch_status", pa.int16())]
    + [(name, pa.string()) for name in TEXTS_AFTER]
    + [("warc_record_offset", pa.int32()), ("warc_record_length", pa.int32())]
    + [(name, pa.string()) for name in ("warc_segment", "crawl", "subset")]
)


class MissingColumns(ValueError):
    """A table without the columns that are wanted; the message names them and those that it has."""


def check_columns(wanted: Sequence[str], names: Sequence[str], where: str) -> None:
    if missing := [name for name in wanted if name not in names]:
        raise MissingColumns(f"{where} has no column {', '.join(missing)}; it has {', '.join(names)}.")


# ---------------------------------------------------------------- where tables lie


@dataclasses.dataclass(frozen=True)
class Parts:
    """The files of a table, in order, and how to open one of them for reading at any place."""

    paths: Sequence[str]
    open: Callable[[str], Any]

    def __post_init__(self):
        if not self.paths:
            raise FileNotFoundError("There is no parquet file in this table.")

    def parquet(self, path: str) -> pq.ParquetFile:
        return patiently(lambda: pq.ParquetFile(self.open(path)), path)


def local_parts(path: str | Path) -> Parts:
    """A parquet file, or all those in a folder and in the folders within."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no table {path}.")
    found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    return Parts([str(part) for part in found], lambda name: pa.OSFile(name))


def s3_parts(path: str, anonymous: bool = True, region: str = "us-east-1", endpoint: str | None = None) -> Parts:
    """The parquet files below `s3://bucket/folder`; without `anonymous` by the account that is configured.

    Raises PermissionError where the bucket refuses, FileNotFoundError where it or the folder is missing.
    """
    scheme, _, address = (endpoint or "https://").rpartition("://")
    filesystem = pyarrow.fs.S3FileSystem(
        anonymous=anonymous, region=region, endpoint_override=address or None, scheme=scheme or "https"
    )
    bucket_path = path.split("://")[-1].rstrip("/")
    try:
        found = filesystem.get_file_info(pyarrow.fs.FileSelector(bucket_path, recursive=True))
    except OSError as error:
        if isinstance(error, FileNotFoundError) or "NO_SUCH_BUCKET" in str(error):
            raise FileNotFoundError(f"There is no bucket or folder {path}.") from None
        if "ACCESS_DENIED" in str(error):
            raise PermissionError(f"{path} is private: it refuses anonymous readers.") from None
        raise ConnectionError(f"No S3 server answers for {path}: {error}") from None
    return Parts(sorted(info.path for info in found if info.path.endswith(".parquet")), filesystem.open_input_file)


def common_crawl_parts(crawl: str, server: str = COMMON_CRAWL) -> Parts:
    """The parts of one crawl, such as `CC-MAIN-2025-33`, in Common Crawl's index over HTTPS, without an account.

    The server lists no folders, but it has a file with the names of the parts. It limits its readers' rate.
    """
    filesystem = http_filesystem()
    listing = f"{server}/crawl-data/{crawl}/cc-index-table.paths.gz"
    names = gzip.decompress(patiently(lambda: filesystem.cat_file(listing), listing)).decode().split()
    return Parts([f"{server}/{name}" for name in names if "/subset=warc/" in name], filesystem.open)


def http_filesystem():
    """Opens addresses as files that can be read at any place: each read is one range request."""
    try:
        from fsspec.implementations.http import HTTPFileSystem
    except ImportError as error:
        raise ModuleNotFoundError(f"HTTPS needs two packages more ({error}): pip install fsspec aiohttp") from None
    # No read-ahead: Arrow knows what it wants, and asks for a column chunk as a whole.
    return HTTPFileSystem(cache_type="none")


def patiently(read: Callable[[], Any], address: str, tries: int = 6, first_wait: float = 1.0):
    """What `read` returns. Where the server says "not now" (403, 429, 503) or breaks off, it is asked again, later
    and later.

    Raises ConnectionError when it never has time.
    """
    for attempt in range(tries):
        try:
            return read()
        except Exception as error:
            failure, status = error, http_status(error)
            if status not in (403, 429, 503) and not (status is None and is_broken_off(error)):
                raise
        if attempt + 1 < tries:
            wait = first_wait * 2**attempt
            said = f"answers {status}" if status else "breaks off"
            print(f"{address} {said}; asking again in {wait:g} s.", flush=True)
            time.sleep(wait)
    if status is None:
        said = str(failure) or type(failure).__name__
        raise ConnectionError(f"{address} broke off each of {tries} requests: {said}") from None
    raise ConnectionError(f"{address} answered {status} to each of {tries} requests: no such file, or a busy server.")


def is_broken_off(error: BaseException) -> bool:
    """Whether the connection to a server failed or stalled: Python's own, aiohttp's or that of Arrow's S3 client."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ConnectionError", "TimeoutError", "ClientPayloadError", "ClientConnectionError"}) or (
        isinstance(error, OSError) and "NETWORK_CONNECTION" in str(error)
    )


def http_status(error: BaseException | None) -> int | None:
    """The status code of an HTTP error, or of the one that it came from."""
    while error is not None and not isinstance(getattr(error, "status", None), int):
        error = error.__cause__ or error.__context__
    return error.status if error is not None else None


# ---------------------------------------------------------------- samples and streams


def sample(parts: Parts, count: int, columns: Sequence[str] = ("url",), seed: int = 0, row_groups: int = 16,
           progress: Callable[[str], None] | None = None) -> pa.Table:  # fmt: skip
    """`count` random rows (fewer if the row groups have fewer), drawn from row groups of parts all over the table.

    One part of a sorted table is one corner of the web; so each row group comes from another part, as long as
    there are any.
    """
    rng = random.Random(seed)
    paths = rng.sample(parts.paths, min(row_groups, len(parts.paths)))
    tables = []
    for number, path in enumerate(itertools.islice(itertools.cycle(paths), row_groups), 1):
        file = parts.parquet(path)
        check_columns(columns, file.schema_arrow.names, path)
        group = rng.randrange(file.num_row_groups)
        read = functools.partial(file.read_row_group, group, list(columns))
        table = patiently(read, path)
        tables.append(table.take(rng.sample(range(len(table)), min(len(table), -(-count // row_groups)))))
        if progress:
            progress(f"row group {number} of {row_groups}: {len(table):,} rows of {path}")
    table = pa.concat_tables(tables)
    return table.take(rng.sample(range(len(table)), min(count, len(table))))


class TableSampler:
    """A sampler over a table of any size: memory holds one page of rows, and the footers of a few files.

    A new random generator begins a new page: the rows of a row group, in random order. When they are used up,
    the generator chooses another row group. So what is drawn depends on the generator alone, and as training
    takes a new one for each chunk of batches, any chunk can be made again, at any time. For batches that are a
    mixture, the table's rows have to be mixed, and its row groups small: `spark.write_training_table` does both.
    """

    def __init__(self, parts: Parts | str | Path, column: str = "url", answers: str | None = "answer"):
        """Texts come from `column`; where the table has a column `answers`, they carry it as their answer."""
        self.parts = parts if isinstance(parts, Parts) else local_parts(parts)
        self.column, self.answers = column, answers
        self.opened = functools.lru_cache(maxsize=4)(self.parts.parquet)
        self.groups: list[tuple[str, int]] = []
        self.rows_up_to: list[int] = []
        for path in self.parts.paths:
            self.add_groups(path)
        if not self.groups:
            raise ValueError("The table has no rows.")
        self.rng, self.page = None, iter(())

    def add_groups(self, path: str) -> None:
        file = self.parts.parquet(path)
        check_columns([self.column], file.schema_arrow.names, path)
        for group in range(file.num_row_groups):
            if rows := file.metadata.row_group(group).num_rows:
                self.groups.append((path, group))
                self.rows_up_to.append(rows + (self.rows_up_to[-1] if self.rows_up_to else 0))

    def __len__(self) -> int:
        return self.rows_up_to[-1]

    def __call__(self, rng: random.Random) -> str:
        """The next text. Raises ValueError where page after page has none."""
        if rng is not self.rng:
            self.rng, self.page = rng, iter(())
        for _ in range(EMPTY_PAGES):
            if (text := next(self.page, None)) is not None:
                return text
            page = self.random_page(rng)
            self.page = self.texts(page)
        folder = os.path.commonprefix(self.parts.paths).rpartition("/")[0]
        raise ValueError(
            f"Hardly any row of the table in {folder} has {' and '.join(page.column_names)}, without nulls: there was "
            f"none in {EMPTY_PAGES:,} random pages. Fill these columns, or drop a column of answers that is empty."
        )

    def random_page(self, rng: random.Random) -> pa.Table:
        """Random rows of a random row group without those that hold a null; each is as likely as any other."""
        path, group = self.groups[bisect.bisect(self.rows_up_to, rng.randrange(len(self)))]
        file = self.opened(path)
        columns = [name for name in (self.column, self.answers) if name in file.schema_arrow.names]
        table = patiently(lambda: file.read_row_group(group, columns), path)
        return table.take(rng.sample(range(len(table)), min(len(table), PAGE_ROWS))).drop_null()

    def texts(self, page: pa.Table) -> Iterator[str]:
        texts = page[self.column].to_pylist()
        if self.answers not in page.column_names:
            return iter(texts)
        return map(LabelledText, texts, page[self.answers].to_pylist())

    @staticmethod
    def is_held_out(text: str) -> bool:
        """Whether a URL belongs to validation: its host decides, so that no host is ever on both sides."""
        return is_held_out(host_of(text))


AUTHORITY = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^/?#:]*)")


def host_of(text: str) -> str:
    """The host of a URL in lower case; of a text without one, the text itself."""
    found = AUTHORITY.match(text)
    return found[1].lower() if found and found[1] else text


# ---------------------------------------------------------------- the embedded table


def embedded_table(folder: str | Path, rows: int = 100_000, parts: int = 8, seed: int = 0) -> Path:
    """A table of made-up URLs in an archive's schema and layout, for where no archive can be reached: its folder.

    Written once; the same arguments find it again. Like an archive's, it is sorted by reversed host, and few
    hosts have most of the URLs.
    """
    folder = Path(folder) / f"embedded-{rows}-{parts}-{seed}"
    if folder.exists():
        return folder
    rng = random.Random(seed)
    hosts = [re.sub(r"[^a-z0-9.-]", "", host_name(rng).lower()).strip(".") or "localhost" for _ in range(rows // 8 + 1)]
    draw = urls(noise=0)
    records = sorted((record(archived_url(draw, hosts, rng), rng) for _ in range(rows)), key=lambda r: r["url_surtkey"])
    temporary = beside(folder)
    partition = temporary / "crawl=EMBEDDED"
    partition.mkdir(parents=True)
    size = -(-rows // parts)
    for number in range(parts):
        table = pa.Table.from_pylist(records[number * size : (number + 1) * size], SCHEMA)
        path = partition / f"part-{number:05}.gz.parquet"
        pq.write_table(table, path, compression="gzip", row_group_size=4096)
    try:
        temporary.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(temporary)
    return folder


def archived_url(draw: Callable[[random.Random], str], hosts: Sequence[str], rng: random.Random) -> str:
    """A URL as an archive keeps it: absolute, http or https, without user and fragment."""
    while True:
        text = draw(rng)
        if text.startswith(("http://", "https://")):
            break
    head, _, rest = text.partition("://")
    tail = re.search(r"[/?]|$", rest.partition("#")[0])
    host = hosts[int(len(hosts) * rng.random() ** 3)]
    port = f":{rng.choice([8080, 8443, 81])}" if rng.random() < 0.001 else ""
    path = rest.partition("#")[0][tail.start() :]
    return f"{head}://{host}{port}{path if path.startswith('/') else '/' + path}"


MIME_TYPES = {"pdf": "application/pdf", "jpg": "image/jpeg", "png": "image/png", "json": "application/json"}


def record(url: str, rng: random.Random) -> dict[str, Any]:
    """The row of an archive's index for a URL; what a URL doesn't say (time, status, place) is made up."""
    split = urlsplit(url)
    host = split.hostname
    names = host.split(".")[::-1]
    suffix = next((known for known in SECOND_LEVEL if host.endswith("." + known)), names[0])
    domain = ".".join(host.split(".")[-len(suffix.split(".")) - 1 :])
    mime = MIME_TYPES.get(split.path.rpartition(".")[2], "text/html")
    warc = f"crawl-data/EMBEDDED/segments/{rng.randrange(10)}/warc/{rng.randrange(1000):05}.warc.gz"
    return {
        "url_surtkey": f"{','.join(names)}){split.path}{'?' * bool(split.query)}{split.query}".lower(),
        "url": url, "url_host_name": host, "url_host_tld": names[0],
        **dict(zip(PARTS_OF_HOST, names[1:], strict=False)),
        "url_host_registry_suffix": suffix, "url_host_registered_domain": domain,
        "url_host_private_suffix": suffix, "url_host_private_domain": domain,
        "url_host_name_reversed": ".".join(names), "url_protocol": split.scheme, "url_port": split.port,
        "url_path": split.path, "url_query": split.query or None,
        "fetch_time": datetime(2020, 9, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(180 * 86_400)),
        "fetch_status": rng.choices([200, 301, 302, 404, 503], [80, 8, 4, 7, 1])[0],
        "content_digest": characters(rng, LOWER.upper() + "234567", 32, 32),
        "content_mime_type": mime, "content_mime_detected": mime,
        "content_charset": "UTF-8" if mime == "text/html" else None,
        "content_languages": rng.choice(["eng", "eng", "spa", "eng,spa", "fra"]) if mime == "text/html" else None,
        "warc_filename": warc, "warc_record_offset": rng.randrange(2**30), "warc_record_length": rng.randrange(2**17),
        "warc_segment": warc.split("/")[3], "crawl": "EMBEDDED", "subset": "warc",
    }  # fmt: skip
