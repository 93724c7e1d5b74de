"""The pyarrow file systems of stores: Parquet out and in, folders, and what is there and what is not."""

import gc
import secrets
from collections.abc import Iterator
from typing import Any

import pyarrow
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest

from flows.storage import PreconditionFailed, Store, join, open_store
from tests.support.servers.aws_environment import leading_to

pytestmark = pytest.mark.stack

TABLE = pyarrow.table(
    {
        "image_id": [f"{n:06}.jpg" for n in range(3000)],
        "image": [bytes([n % 256]) * 5000 for n in range(3000)],
        "Eyeglasses": [n % 7 == 0 for n in range(3000)],
    }
)


@pytest.fixture(scope="module", params=["seaweedfs", pytest.param("moto", marks=pytest.mark.long), "disk"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path_factory.mktemp("files"))
        return
    server = request.getfixturevalue("s3_server" if request.param == "seaweedfs" else "moto_server")
    with leading_to(server):
        url = f"s3://files-{secrets.token_hex(4)}"
        open_store(url).make_bucket()
        yield url


@pytest.fixture
def store(place: str) -> Store:
    return open_store(join(place, secrets.token_hex(4), "set"))


@pytest.fixture
def files(store: Store) -> tuple[Any, str]:
    filesystem, base = store.filesystem()
    filesystem.create_dir(f"{base}/parts", recursive=True)
    return filesystem, base


def test_parquet(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = files
    path = f"{base}/parts/part-00000.parquet"
    options = {"row_group_size": 500, "compression": "none", "use_dictionary": False}
    pyarrow.parquet.write_table(TABLE, path, filesystem=filesystem, **options)
    assert [info.key for info in store.list()] == ["parts/part-00000.parquet"]
    assert store.head("parts/part-00000.parquet").size > 15_000_000
    assert pyarrow.parquet.read_table(path, filesystem=filesystem).equals(TABLE)
    names = pyarrow.parquet.read_table(path, filesystem=filesystem, columns=["image_id"])
    assert names.equals(TABLE.select(["image_id"]))
    with pyarrow.parquet.ParquetFile(path, filesystem=filesystem) as file:
        assert file.read_row_group(3, columns=["image"]).equals(TABLE.select(["image"]).slice(1500, 500))
    dataset = pyarrow.dataset.dataset(f"{base}/parts", filesystem=filesystem)
    found = dataset.to_table(columns=["image_id"], filter=pyarrow.dataset.field("Eyeglasses"))
    assert found.num_rows == sum(TABLE["Eyeglasses"].to_pylist())


def on_s3(files: tuple[Any, str]) -> tuple[Any, str]:
    if isinstance(files[0], pyarrow.fs.LocalFileSystem):
        pytest.skip("a local file system has no equal of this")
    return files


def test_a_projection_does_not_read_the_images(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = on_s3(files)
    path = f"{base}/parts/a.parquet"
    pyarrow.parquet.write_table(TABLE, path, filesystem=filesystem, compression="none", use_dictionary=False)
    read = 0
    original = store.read_range  # type: ignore[attr-defined]

    def counting(key: str, start: int, end: int, etag: str) -> bytes:
        nonlocal read
        read += end - start
        return original(key, start, end, etag)

    store.read_range = counting  # type: ignore[attr-defined]
    pyarrow.parquet.read_table(path, filesystem=filesystem, columns=["image_id"])
    assert 0 < read < 500_000


def test_what_is_there(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = files
    store.put("parts/a/one", b"1")
    store.put("parts/b-two", b"22")
    kinds = pyarrow.fs.FileType
    infos = filesystem.get_file_info(
        [base, f"{base}/parts", f"{base}/parts/", f"{base}/parts/b-two", f"{base}/none", f"{base}/part"]
    )
    assert [info.type for info in infos] == [
        kinds.Directory,
        kinds.Directory,
        kinds.Directory,
        kinds.File,
        kinds.NotFound,
        kinds.NotFound,
    ]
    assert infos[3].size == 2
    assert infos[3].mtime == store.head("parts/b-two").modified

    def select(**options: Any) -> set[tuple[str, Any]]:
        selected = filesystem.get_file_info(pyarrow.fs.FileSelector(f"{base}/parts", **options))
        return {(info.path.removeprefix(base), info.type) for info in selected}

    top = {("/parts/a", kinds.Directory), ("/parts/b-two", kinds.File)}
    assert select() == top
    assert select(recursive=True) == top | {("/parts/a/one", kinds.File)}
    with pytest.raises(FileNotFoundError):
        filesystem.get_file_info(pyarrow.fs.FileSelector(f"{base}/none"))
    assert filesystem.get_file_info(pyarrow.fs.FileSelector(f"{base}/none", allow_not_found=True)) == []
    for open_it in (filesystem.open_input_file, filesystem.open_input_stream):
        with pytest.raises(FileNotFoundError):
            open_it(f"{base}/none")


def test_bytes_in_and_out(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = files
    with filesystem.open_output_stream(f"{base}/a b%2F+é.bin") as file:
        file.write(b"one")
        file.write(b"")
        file.write(bytearray(b"-two"))
    assert store.get("a b%2F+é.bin").data == b"one-two"
    with filesystem.open_input_stream(f"{base}/a b%2F+é.bin") as file:
        assert [file.read(4), file.read(), file.read()] == [b"one-", b"two", b""]
    with filesystem.open_input_file(f"{base}/a b%2F+é.bin") as file:
        assert file.size() == 7
        file.seek(5)
        assert [file.read(100), file.tell()] == [b"wo", 7]
        assert file.read_at(3, 1) == b"ne-"
    with filesystem.open_output_stream(f"{base}/empty"):
        pass
    assert store.get("empty").data == b""
    filesystem.copy_file(f"{base}/a b%2F+é.bin", f"{base}/copy")
    assert store.get("copy").data == b"one-two"
    filesystem.delete_file(f"{base}/copy")
    with pytest.raises(FileNotFoundError):
        filesystem.delete_file(f"{base}/copy")


def test_folders_are_deleted_with_what_is_in_them(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = files
    for key in ("old/a", "old/b/c", "older"):
        store.put(key, b"")
    filesystem.delete_dir(f"{base}/old")
    assert [info.key for info in store.list()] == ["older"]


def test_an_object_replaced_while_it_is_read_is_noticed(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = on_s3(files)
    store.put("state", b"a" * 1000)
    with filesystem.open_input_file(f"{base}/state") as file:
        assert file.read(10) == b"a" * 10
        store.put("state", b"b" * 1000)
        with pytest.raises(PreconditionFailed, match="state"):
            file.read(10)


def test_a_file_that_is_not_closed_does_not_appear(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = on_s3(files)
    file = filesystem.open_output_stream(f"{base}/half")
    file.write(b"x" * 100)
    del file
    gc.collect()
    assert list(store.list()) == []


def test_the_store_is_not_emptied_or_left(store: Store, files: tuple[Any, str]) -> None:
    filesystem, base = on_s3(files)
    store.put("a", b"")
    for path in (base, base + "/"):
        with pytest.raises(ValueError, match="whole store"):
            filesystem.delete_dir(path)
    for path in ("", "other-bucket/x", base + "x", base.rpartition("/")[0]):
        with pytest.raises(ValueError, match="not below"):
            filesystem.get_file_info(path)
    with pytest.raises(NotImplementedError):
        filesystem.move(f"{base}/a", f"{base}/b")
    assert [info.key for info in store.list()] == ["a"]
