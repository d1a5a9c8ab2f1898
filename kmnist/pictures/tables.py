"""Pictures from parquet files: a column of bytes, or of ``struct{bytes, path}`` as Hugging Face writes it.

Bytes may be of any type that Arrow has for them: ``binary``, ``large_binary``, ``binary_view``, of a fixed size, and
each of these as a dictionary.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from kmnist.errors import PictureError
from kmnist.pictures.limits import MOST_BYTES

AT_ONCE_BYTES = 32_000_000  # of pictures in memory
MOST_ROWS = 1_024  # at once
MOST_UNPACKED = 1_000  # times its packed size, of a row group; of pictures, which are packed already, it is about 1
MOST_GROUP = 2**31  # bytes of a row group, unpacked


def read_table(path: Path) -> Iterator[bytes | PictureError]:
    """The pictures of a file, in the order of its rows; or why one is not there.

    Raises:
        PictureError: it is damaged, or it has not one column of pictures.
        OSError: it cannot be read.
    """
    path.open("rb").close()  # pyarrow's own message is longer than a line
    try:
        column, place = _column(parquet.read_schema(path))
        # Kept as a dictionary: a file can say of a million rows that they are one large picture.
        with parquet.ParquetFile(path, read_dictionary=[place]) as file:
            for group in range(file.num_row_groups):
                rows = _check(file.metadata.row_group(group), column)
                for batch in file.iter_batches(rows, row_groups=[group], columns=[column]):
                    values = batch.column(0)
                    if pa.types.is_struct(values.type):
                        values = values.field("bytes")  # null where the row is
                    for value in values:
                        content = value.as_py()
                        yield content if content is not None else PictureError("there are no bytes in this row")
    except PictureError:
        raise
    except Exception as error:  # a decoder raises whatever the bytes provoke: ArrowInvalid, OSError, KeyError, ...
        raise PictureError(f"damaged parquet file ({_first_line(error)})") from None


def read_labels(path: Path, name: str) -> list[str]:
    """The class of each row of a parquet file, as its data set names it.

    Hugging Face writes class numbers, and keeps their names in the schema's metadata.

    Args:
        path: of the file.
        name: of the column of labels.

    Raises:
        PictureError: it is damaged, or has no such column.
        OSError: it cannot be read.
    """
    path.open("rb").close()
    try:
        schema = parquet.read_schema(path)
        if name not in schema.names:
            raise PictureError(f"no column {name!r}; it has {', '.join(schema.names)[:200]}")
        labels = parquet.read_table(path, columns=[name]).column(0).to_pylist()
    except PictureError:
        raise
    except Exception as error:
        raise PictureError(f"damaged parquet file ({_first_line(error)})") from None
    names = _class_names(schema, name)
    return [names.get(label, str(label)) for label in labels]


def holds_pictures(path: Path) -> bool:
    """Whether a parquet file has one column of pictures, not of their paths.

    Raises:
        OSError: it cannot be read.
    """
    try:
        _column(parquet.read_schema(path))
    except (PictureError, pa.ArrowInvalid):
        return False
    return True


def _class_names(schema: pa.Schema, name: str) -> dict[Any, str]:
    """What the numbers of a column of classes stand for, where the file says so."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])
        return dict(enumerate(map(str, about["info"]["features"][name]["names"])))
    except (KeyError, ValueError, TypeError):
        return {}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _column(schema: pa.Schema) -> tuple[str, str]:
    """The name of the one of pictures, and the path of its bytes."""
    names = picture_columns(schema)
    if len(names) != 1:
        others = ", ".join(f"{field.name} ({field.type})" for field in schema)[:200]
        raise PictureError(
            f"{len(names)} columns of pictures: must be one, of bytes or of struct{{bytes, path}}; it has {others}"
        )
    nested = pa.types.is_struct(schema.field(names[0]).type)
    return str(names[0]), f"{names[0]}.bytes" if nested else str(names[0])


def picture_columns(schema: pa.Schema) -> list[str]:
    """The names of the columns that hold pictures."""
    return [field.name for field in schema if _holds_bytes(field.type)]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    of_bytes = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(is_of(kind) for is_of in of_bytes)


def _check(group: Any, column: str) -> int:
    """See that a row group may be read; gives how many of its rows at once."""
    parts = [group.column(place) for place in range(group.num_columns)]
    parts = [part for part in parts if part.path_in_schema.split(".")[0] == column]
    packed, size = (
        sum(int(getattr(part, name)) for part in parts) for name in ("total_compressed_size", "total_uncompressed_size")
    )
    if size > MOST_GROUP or size > max(MOST_BYTES, MOST_UNPACKED * packed):
        raise PictureError(f"a row group of {packed:,} bytes that promise {size:,}: write smaller row groups")
    return max(min(AT_ONCE_BYTES * int(group.num_rows) // max(size, 1), MOST_ROWS), 1)
