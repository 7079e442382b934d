"""Tables of URLs by Arrow: samples, HTTPS with a busy server, damaged files, and the sampler for training."""

import functools
import gzip
import http.server
import random
import threading
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import LONGEST_WORD, tiny_architecture, words_of

from benchmarks.common import write_archive
from urlseq import Task, Training, copy_function, tables
from urlseq.errors import BadSource, MissingColumns, MissingSource, Unreachable
from urlseq.functions import answer, answers
from urlseq.sampling import LabelledInput
from urlseq.sources import draw
from urlseq.training import Batches


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("tables"), rows=2000, parts=4)


def test_a_folder_is_a_table_of_its_files_in_order(folder):
    table = tables.local_table(folder)
    assert [path.rpartition("/crawl=MADE-UP/")[2] for path in (file.path for file in table)] == [
        f"part-{number:05}.parquet" for number in range(4)
    ]
    assert [file.path for file in tables.local_table(table[1].path)] == [table[1].path]


@pytest.mark.parametrize("made", ["nothing", "an empty folder"])
def test_a_table_that_is_missing_is_named(tmp_path, made):
    path = tmp_path / "table"
    if made == "an empty folder":
        path.mkdir()
    with pytest.raises(MissingSource, match=f"There is no (table|parquet file in) {path}"):
        tables.TableSampler(path)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_file_is_named_in_one_line(tmp_path, damage):
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"url": words_of(3000)}), path, use_dictionary=False)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[1000:]
    else:
        data[4:60] = bytes(byte ^ 0x5A for byte in data[4:60])
    path.write_bytes(data)
    for read in (lambda: tables.read_column(path, "url"), lambda: tables.TableSampler(path)(random.Random(0))):
        with pytest.raises(BadSource, match=f"{path} can't be read as parquet") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_the_texts_of_a_column(folder, tmp_path):
    urls, hosts = (tables.read_column(folder, name) for name in ("url", "url_host_name"))
    assert len(urls) == 2000 and [*map(tables.host_of, urls)] == hosts
    pq.write_table(pa.table({"url": ["a", None, "b"], "number": [1, 2, 3]}), tmp_path / "part.parquet")
    assert tables.read_column(tmp_path, "url") == ["a", "b"]
    with pytest.raises(BadSource, match=f"Column 'number' of {tmp_path}/part.parquet holds int64, not text"):
        tables.read_column(tmp_path, "number")
    with pytest.raises(MissingColumns, match="no column adress; it has url, number"):
        tables.read_column(tmp_path, "adress")


ODD_NAME = "run 12:30 [1]{a} *.x"
TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.null()]


def test_parts_without_row_groups_are_passed_over(tmp_path):
    schema = pa.schema([("url", pa.string())])
    for number in range(9):
        pq.ParquetWriter(tmp_path / f"{number}.parquet", schema).close()
    for read in (tables.sample, tables.TableSampler):
        with pytest.raises(BadSource, match=f"{tmp_path}.* has no rows"):
            read(tables.local_table(tmp_path), 9) if read is tables.sample else read(tmp_path)
    pq.write_table(pa.table({"url": ["a", "b"]}), tmp_path / "9.parquet")
    assert {*tables.sample(tables.local_table(tmp_path), 9, row_groups=4)["url"].to_pylist()} == {"a", "b"}
    assert tables.TableSampler(tmp_path)(random.Random(0)) in tables.read_column(tmp_path, "url") == ["a", "b"]


def test_text_of_any_type_is_the_same_text(tmp_path):
    for number, kind in enumerate(TEXT_TYPES):
        values = pa.array([None if kind == pa.null() else f"text {number}"]).cast(kind)
        pq.write_table(pa.table({"url": values, "number": [number]}), tmp_path / f"{number}.parquet")
    texts = {f"text {number}" for number in range(4)}
    assert {*tables.read_column(tmp_path, "url")} == texts
    found = tables.sample(tables.local_table(tmp_path), 99, ["url", "number"])
    assert found.schema.types == [pa.string(), pa.int64()] and {*found["url"].to_pylist()} == {*texts, None}
    sampler, rng = tables.TableSampler(tmp_path), random.Random(0)
    assert {sampler(rng) for _ in range(40)} == texts


def test_what_is_hidden_or_temporary_is_no_part_of_a_table(tmp_path):
    folder = tmp_path / "_mine" / ODD_NAME
    table = pa.table({"url": ["a"]})
    for name in ("part-0.parquet", "of/part-1.PARQUET", "part-2.parq", "part-3.parquet.gzip"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)
    for name in ("._part-0.parquet", "_temporary/0/part-0.parquet", ".x.parquet", "_SUCCESS", "README.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\x16\7" * 1024)
    (folder / "empty.parquet").mkdir()
    assert tables.read_column(folder, "url") == ["a"] * 4
    assert len(tables.TableSampler(folder)) == 4


def test_columns_are_found_by_their_names_whatever_those_are(tmp_path):
    names = ["a.b", "x[0]", "`y`", ".z", "url", "URL", "Link"]
    for part in ("0", "1"):
        columns = {(name.lower() if part == "1" and name == "Link" else name): [name + part] for name in names}
        pq.write_table(pa.table(columns), tmp_path / f"{part}.parquet")
    for column, name in [*zip(names, names, strict=True), ("link", "Link"), ("LINK", "Link")]:
        assert tables.read_column(tmp_path, column) == [name + "0", name + "1"]
        found = tables.sample(tables.local_table(tmp_path), 9, [column])
        assert found.column_names == [column] and {*found[column].to_pylist()} == {name + "0", name + "1"}
        assert tables.TableSampler(tmp_path, column)(random.Random(0))[:-1] == name
    with pytest.raises(MissingColumns, match="no column Url; it has a.b, x"):  # two columns might be meant
        tables.read_column(tmp_path, "Url")


@pytest.mark.parametrize(
    "values", [pa.array([b"a"]), pa.array([1]), pa.array([["a"]]), pa.array([b"a"]).dictionary_encode()]
)
def test_what_is_no_text_is_named_before_anything_is_read(tmp_path, monkeypatch, values):
    pq.write_table(pa.table({"url": ["a"]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"url": values}), tmp_path / "1.parquet")
    monkeypatch.setattr(tables, "read", None)
    for read in (lambda: tables.read_column(tmp_path, "url"), lambda: tables.TableSampler(tmp_path)):
        with pytest.raises(BadSource, match=f"'url' of {tmp_path}/1.parquet holds .*not text.*cast"):
            read()


def test_parts_that_do_not_fit_together_are_named(tmp_path):
    for number, values in enumerate((["a"], [1])):
        pq.write_table(pa.table({"url": values}), tmp_path / f"{number}.parquet")
    with pytest.raises(BadSource, match="url has incompatible types"):
        tables.sample(tables.local_table(tmp_path), 9)


def test_text_that_is_no_utf8_is_named(tmp_path):
    values = pa.array([b"a", b"\xff"], pa.binary())
    text = pa.StringArray.from_buffers(2, *values.buffers()[1:])
    pq.write_table(pa.table({"url": text}), tmp_path / "part.parquet")
    for read in (lambda: tables.read_column(tmp_path, "url"), lambda: tables.TableSampler(tmp_path)(random.Random(0))):
        with pytest.raises(BadSource, match=f"{tmp_path}/part.parquet can't be read as parquet: .*UTF8"):
            read()


def test_files_that_were_changed_anywhere_are_read_or_named(tmp_path):
    """Whatever byte is wrong: texts, or one line of ours."""
    rng, path, failed = random.Random(1), tmp_path / "part.parquet", 0
    values = pa.array(words_of(200) + [None])
    pq.write_table(pa.table({"url": values.cast(pa.dictionary(pa.int32(), pa.string()))}), path, compression="zstd")
    data = path.read_bytes()
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(4, len(data) - 8)] = rng.randrange(256)
        path.write_bytes(changed)
        for read in (lambda: tables.read_column(path, "url"), lambda: tables.TableSampler(path)(random.Random(0))):
            try:
                read()
            except BadSource as error:
                failed += 1
                assert str(path) in str(error) or "column url" in str(error)
                assert "\n" not in str(error)
    assert failed > 100


def test_a_sample_comes_from_all_parts_and_is_the_same_for_a_seed(folder):
    found = tables.sample(tables.local_table(folder), 400, ["url", "url_surtkey"], row_groups=4)
    assert found == tables.sample(tables.local_table(folder), 400, ["url", "url_surtkey"], row_groups=4)
    assert len(found) == 400
    with pytest.raises(MissingColumns, match="no column nonsense; it has url_surtkey, url, url_host_name,"):
        tables.sample(tables.local_table(folder), 10, ["nonsense"])


def test_what_is_drawn_depends_on_the_generator_alone(folder):
    sampler = tables.TableSampler(folder)
    first = drawn(sampler, random.Random("0 7"))
    assert drawn(sampler, random.Random("0 8")) != first
    assert drawn(sampler, random.Random("0 7")) == first
    assert drawn(tables.TableSampler(folder), random.Random("0 7")) == first


def drawn(sampler, rng) -> list[str]:
    return [sampler(rng) for _ in range(700)]


def test_no_host_is_on_both_sides(folder):
    sampler = tables.TableSampler(folder)
    training = draw(sampler, random.Random(1), 2000, held_out=False, max_input_bytes=128)
    held_out = draw(sampler, random.Random(2), 100, held_out=True, max_input_bytes=128)
    assert held_out and not {*map(tables.host_of, training)} & {*map(tables.host_of, held_out)}


def test_answers_kept_in_the_table_are_used(tmp_path):
    pq.write_table(pa.table({"url": ["a", "b"], "answer": ["1", "2"]}), tmp_path / "part.parquet")
    sampler = tables.TableSampler(tmp_path)
    rng = random.Random(0)
    texts = [sampler(rng) for _ in range(4)]
    assert all(isinstance(text, LabelledInput) for text in texts)

    def never(text):
        raise AssertionError("the function was called")

    assert answers(never, texts) == [{"a": "1", "b": "2"}[text] for text in texts]
    assert pa.array(texts, pa.string()).to_pylist() == texts


@pytest.mark.parametrize("column", ["url", "answer"])
def test_a_table_whose_rows_all_hold_a_null_is_refused(tmp_path, column):
    columns = {"url": ["a", "b"], "answer": ["1", "2"]} | {column: pa.nulls(2, pa.string())}
    pq.write_table(pa.table(columns), tmp_path / "part.parquet")
    with pytest.raises(ValueError, match=f"in {tmp_path} has url and answer, without nulls.* 1,000 .*Fill these"):
        copy_function(str.upper, tmp_path, verbose=False)


def test_a_few_texts_among_many_nulls_are_found(tmp_path):
    urls = [None] * 99 + ["a"]
    pq.write_table(pa.table({"url": urls}), tmp_path / "part.parquet", row_group_size=1)
    sampler, rng = tables.TableSampler(tmp_path), random.Random(0)
    assert {sampler(rng) for _ in range(20)} == {"a"}


def test_a_chunk_of_training_can_be_made_again_from_its_number(folder):
    def batches() -> Batches:
        return Batches(Task(urlparse, folder), Training(epoch_batches=10))

    worked_through = batches()
    chunks = [worked_through.make_chunk(number) for number in range(3)]
    assert batches().make_chunk(2) == chunks[2] != chunks[1]
    texts = [text for batch in chunks[2] for text in batch.inputs]
    assert not any(tables.TableSampler.is_held_out(text) for text in texts)


def test_a_copy_is_trained_from_a_folder_of_texts_with_answers(tmp_path):
    """The function is called for a check alone: the answers come from the table, and training is a fit to them."""
    calls = []

    def upper(text):
        calls.append(text)
        return text.upper()

    texts = sorted(set(words_of(3000)))
    for number in range(3):
        part = texts[number::3]
        upper_case = [answer(str.upper, text) for text in part]
        pq.write_table(
            pa.table({"url": part, "answer": upper_case}), tmp_path / f"{number}.parquet", row_group_size=100
        )
    copy = copy_function(upper, tmp_path, max_input_bytes=LONGEST_WORD, examples=9600, architecture=tiny_architecture(),
                         learning_rate=1.5e-2, batch_size=32, epoch_batches=100, validation_count=50, attempts=0,
                         verbose=False)  # fmt: skip
    losses = [epoch["loss"] for epoch in copy.card["history"]]
    assert losses[-1] < losses[0] / 3
    assert len(calls) <= 100 and copy.card["held_out_counts"]["count"] > 0


@pytest.mark.parametrize("url, host", [
    ("https://User:pw@Example.COM:80/a", "example.com"), ("//h/x", "h"), ("http://[::1]:8/a", "[::1]"),
    ("mailto:a@b", "mailto:a@b"), ("", ""), ("https:///path", "https:///path"),
])  # fmt: skip
def test_host_of(url, host):
    assert tables.host_of(url) == host


class BusyServer(http.server.SimpleHTTPRequestHandler):
    """Answers range requests, counts the bytes it sends, refuses the first few with 503, and lets others wait."""

    busy_answers = stalls = 0
    sent = 0

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool):
        if BusyServer.busy_answers:
            BusyServer.busy_answers -= 1
            return self.send_error(503)
        if BusyServer.stalls:
            BusyServer.stalls -= 1
            threading.Event().wait(4)  # longer than the client has patience; `time.sleep` is the test's
            return None
        try:
            with open(self.translate_path(self.path), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return self.send_error(404)
        range_, status = self.headers.get("Range"), 200
        if range_:
            first, last = range_.removeprefix("bytes=").split("-")
            data, status = data[int(first) : int(last or len(data)) + 1], 206
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            BusyServer.sent += len(data)
            self.wfile.write(data)

    def log_message(self, *words):
        pass


@pytest.fixture
def server(folder, tmp_path):
    """The archive, laid out as Common Crawl's, in files so large that the footers are a small part."""
    names = [f"cc-index/crawl=MADE-UP/subset=warc/{path.name}" for path in sorted(folder.rglob("*.parquet"))]
    (tmp_path / names[0]).parent.mkdir(parents=True)
    for name, file in zip(names, tables.local_table(folder), strict=True):
        table = pa.concat_tables([pq.ParquetFile(file.path).read()] * 10)
        pq.write_table(table, tmp_path / name, compression="none", use_dictionary=False, row_group_size=1000)
    listing = tmp_path / "crawl-data" / "MADE-UP" / "cc-index-table.paths.gz"
    listing.parent.mkdir(parents=True)
    listing.write_bytes(gzip.compress("\n".join([*names, "cc-index/subset=robotstxt/part.gz.parquet"]).encode()))
    handler = functools.partial(BusyServer, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_common_crawl_over_http_reads_only_what_it_needs_and_waits_for_a_busy_server(server, monkeypatch, tmp_path):
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    waits = []
    monkeypatch.setattr(tables.time, "sleep", waits.append)
    BusyServer.busy_answers, BusyServer.sent = 2, 0
    table = tables.common_crawl_table("MADE-UP", server)
    assert waits == [1, 2] and len(table) == 4
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert len(tables.sample(table, 100, row_groups=4)) == 100
    assert BusyServer.sent < size / 4
    BusyServer.busy_answers = 1000
    with pytest.raises(Unreachable, match="answered 503 to each of 6 requests"):
        tables.common_crawl_table("MADE-UP", server)
    BusyServer.busy_answers = 0


def test_the_same_is_drawn_over_http_from_a_server_that_is_busy_at_times(server, monkeypatch, tmp_path):
    pytest.importorskip("aiohttp")
    waits = []
    monkeypatch.setattr(tables.time, "sleep", waits.append)
    files = sorted(tmp_path.rglob("*.parquet"))
    addresses = [f"{server}/{path.relative_to(tmp_path)}" for path in files]
    BusyServer.busy_answers = 2  # the client itself asks twice for a size
    remote, local = (tables.TableSampler(table) for table in (tables.http_table(addresses), tmp_path))
    assert waits == [1]
    BusyServer.busy_answers = 4
    assert drawn(remote, random.Random(3)) == drawn(local, random.Random(3))
    assert waits == [1, 1, 2]
    with pytest.raises(MissingSource, match="There is no file .*nothing.parquet"):
        tables.TableSampler(tables.http_table([f"{server}/nothing.parquet"]))


def test_a_server_that_stalls_is_asked_again(server, monkeypatch):
    """By a client that waits for two seconds, not for aiohttp's five minutes."""
    aiohttp, http = map(pytest.importorskip, ("aiohttp", "fsspec.implementations.http"))
    client = http.HTTPFileSystem(client_kwargs={"timeout": aiohttp.ClientTimeout(total=2)})
    waits, BusyServer.stalls = [], 2
    monkeypatch.setattr(tables.time, "sleep", waits.append)
    monkeypatch.setattr(tables, "http_filesystem", lambda: client)
    assert len(tables.common_crawl_table("MADE-UP", server)) == 4
    assert waits == [1, 2] and BusyServer.stalls == 0


def test_a_server_that_stalls_each_time_is_named(monkeypatch):
    exceptions = pytest.importorskip("fsspec.exceptions")
    waits = []
    monkeypatch.setattr(tables.time, "sleep", waits.append)

    def stalled():
        raise exceptions.FSTimeoutError

    with pytest.raises(Unreachable, match="a.parquet broke off each of 6 requests: FSTimeoutError"):
        tables.with_retries(stalled, "https://example.org/a.parquet")
    assert waits == [1, 2, 4, 8, 16]
