"""What a file may hold, by declaration, and the one way in for files that people or other programs wrote.

A **shape** says what a value may be: a function of the value and its key (such as ``frames[3].file_path``) that raises
Unfit where it is something else. Shapes are made by the functions below, and of one another:

    CAMERAS = mapping({"frames": items(mapping({"file_path": text()}))}, {"fl_x": number(above=0)})
    content = read_json("transforms.json", CAMERAS)

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import io
import json
import os
import re
import reprlib
import stat

from . import packing
from .files import UserError

LARGEST = 1e9  # of numbers that say no other limit: their squares are finite in single precision
LARGEST_FILE = 1 << 28  # bytes of a text file: a transforms file of 300,000 views
# Names of objects: letters and digits of any script, their marks, and . _ + -. They are names of files, too.
NAME = re.compile("\\w[\\w.+\u0300-\u036f\u0483-\u1dff\u20d0-\u20f0\u302a-\u309a\ua66f-\uabed\ufe20-\ufe2f-]*")
_IN_NO_NAME = re.compile("[\0\ud800-\udfff]")  # what no name of a file holds: NUL and lone surrogates
LONGEST_SHOWN = 80  # characters of a value in a message
LONGEST_NAME = 255  # bytes of a file's name, on Linux
LONGEST_INTEGER = 1000  # digits of a whole number in JSON: more take Python long, and no number is as large


class Unfit(Exception):
    """A value that is not what its declaration says: the dotted key, and what is wrong."""

    def __init__(self, key, reason):
        super().__init__(f"{key}: {reason}" if key else reason)


def shown(value):
    """A value as a message has it: as JSON, and short, whatever it is."""
    words = ""
    try:
        for part in json.JSONEncoder(default=str, ensure_ascii=False).iterencode(value):  # YAML can say a lot in a line
            words += part
            if len(words) > LONGEST_SHOWN:
                break
    except (TypeError, ValueError, RecursionError):  # an endless or very deep one
        try:
            words = reprlib.repr(value)
        except ValueError:
            words = "a number of thousands of digits"
    return words if len(words) <= LONGEST_SHOWN else words[: LONGEST_SHOWN - 3] + "..."


def number(above=-LARGEST, below=LARGEST):
    """A number, not a truth value, strictly between two limits."""

    def check(value, key):
        if type(value) not in (int, float):
            raise Unfit(key, f"{shown(value)} is no number")
        if not above < value < below:  # also where it is NaN
            raise Unfit(key, f"{shown(value)} is not between {above:g} and {below:g}")

    return check


def whole(low, high):
    """A whole number, an integer or a float without a fraction, from `low` to `high`."""
    in_between = number(low - 1, high + 1)

    def check(value, key):
        in_between(value, key)
        if value != int(value):
            raise Unfit(key, f"{shown(value)} is no whole number")

    return check


def truth():
    """A truth value."""

    def check(value, key):
        if not isinstance(value, bool):
            raise Unfit(key, f"{shown(value)} is neither true nor false")

    return check


def text(longest=4096):
    """A text that is not empty, has at most `longest` characters, and none that a file name cannot have."""

    def check(value, key):
        if not isinstance(value, str) or not value:
            raise Unfit(key, f"{shown(value)} is no text")
        if len(value) > longest:
            raise Unfit(key, f"a text of {len(value)} characters, more than {longest}")
        if _IN_NO_NAME.search(value):
            raise Unfit(key, f"{shown(value)} holds characters that no file name has")

    return check


def object_name():
    """The name of an object."""

    def check(value, key):
        if not isinstance(value, str) or not NAME.fullmatch(value) or not value.isprintable():
            raise Unfit(key, f"{shown(value)} is no name of an object")
        if len(value.encode()) > LONGEST_NAME:
            raise Unfit(key, f"{shown(value)} is longer than {LONGEST_NAME} bytes")

    return check


def result_path():
    """The path of a result in its object's folder: names that an object could have, with / between."""

    def check(value, key):
        if not isinstance(value, str) or not all(map(NAME.fullmatch, value.split("/"))):
            raise Unfit(key, f"{shown(value)} is no path inside a folder")

    return check


def choice(*values):
    """One of `values`, texts."""

    def check(value, key):
        if not isinstance(value, str) or value not in values:
            raise Unfit(key, f"{shown(value)} is not one of {', '.join(values)}")

    return check


def numbers(count, each=None):
    """A list of `count` numbers, each of the shape `each`."""
    each = each or number()

    def check(value, key):
        if not isinstance(value, list) or len(value) != count:
            raise Unfit(key, f"{shown(value)} is no list of {count} numbers")
        for item in value:
            each(item, key)

    return check


def matrix(*sizes):
    """A matrix as a list of rows, of one of the `sizes` (rows, columns), the first of which messages name."""
    wanted = "no {}x{} matrix of numbers".format(*sizes[0])

    def check(value, key):
        rows = value if isinstance(value, list) else []
        widths = {len(row) if isinstance(row, list) else 0 for row in rows}
        if not any(len(rows) == height and widths == {width} for height, width in sizes):
            raise Unfit(key, wanted)
        entries = [entry for row in rows for entry in row]
        if not all(type(entry) in (int, float) for entry in entries):
            raise Unfit(key, wanted)
        if not all(-LARGEST < entry < LARGEST for entry in entries):  # also where one is NaN
            raise Unfit(key, f"not finite, or beyond {LARGEST:g}")

    return check


def items(each, name, least=1):
    """A list of `least` or more values of the shape `each`; `name` is what messages call them."""

    def check(value, key):
        if not isinstance(value, list):
            raise Unfit(key, f"no list of {name}")
        if len(value) < least:
            raise Unfit(key, f"no {name}" if not value else f"{len(value)} {name}, fewer than {least}")
        for index, item in enumerate(value):
            each(item, f"{key}[{index}]")

    return check


def mapping(needed, optional=None, more=True):
    """A dict with the keys `needed`, perhaps with those that are `optional`, each of its shape.

    Others may be anything, or with `more` False must not be there. Where its key is empty it is a file's whole content.
    """
    shapes = {**needed, **(optional or {})}

    def check(value, key):
        if not isinstance(value, dict):
            raise Unfit(key, f"{shown(value)} holds no keys")
        for name, shape in shapes.items():
            where = f"{key}.{name}" if key else name
            if name in value:
                shape(value[name], where)
            elif name in needed:
                raise Unfit(where, "missing")
        unknown = [] if more else sorted(set(value) - set(shapes))
        if unknown:
            raise Unfit(f"{key}.{unknown[0]}" if key else unknown[0], "unknown")

    return check


def values(each):
    """A dict whose keys are any texts that `text()` takes, and each of whose values has the shape `each`."""
    is_name = text()

    def check(value, key):
        if not isinstance(value, dict):
            raise Unfit(key, f"{shown(value)} holds no keys")
        for name, item in value.items():
            is_name(name, key)
            each(item, f"{key}.{name}")

    return check


def maybe(shape):
    """A value of the `shape`, or null."""

    def check(value, key):
        if value is not None:
            shape(value, key)

    return check


def every(*shapes):
    """All of `shapes` at once, in their order: a later one may rely on the earlier ones."""

    def check(value, key):
        for shape in shapes:
            shape(value, key)

    return check


def read_bytes(path, largest=LARGEST_FILE):
    """The content of the file `path`. Raises UserError where it cannot be read, is no file, or exceeds `largest` bytes.

    A FIFO, a device or a folder is refused, not waited for.
    """
    with open_file(path) as file:
        try:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size > largest:
                raise UserError(f"{path}: {size:,} bytes, more than {largest:,}")
            return file.read(largest)
        except OSError as error:  # one of /proc cannot be measured, a disk may be broken
            raise UserError(f"{path}: {error.strerror}") from error


def open_file(path):
    """A binary stream of the regular file `path`, which may be in an archive in place of its folder: see `packing`.

    Raises UserError where it is something else or cannot be opened.
    """
    try:
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        packed = packing.content(path)
        if packed is not None:
            return io.BytesIO(packed)
        raise UserError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise UserError(f"{path}: {error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path}: not a regular file")
    return os.fdopen(descriptor, "rb")


def read_text(path, largest=LARGEST_FILE):
    """The text of the UTF-8 file `path`, less its byte order mark. Raises UserError like `read_bytes`."""
    try:
        return read_bytes(path, largest).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from error


def read_json(path, shape, largest=LARGEST_FILE):
    """The value that the JSON file `path` holds, which has the `shape`. Raises UserError: file, key and reason."""
    return checked(parse_json(read_text(path, largest), path), shape, path)


def checked(value, shape, source):
    """`value`, which has the `shape`. Raises UserError that begins with `source` where it has not."""
    try:
        shape(value, "")
    except Unfit as problem:
        raise UserError(f"{source}: {problem}") from problem
    return value


def parse_json(content, source):
    """The value that the JSON text `content` is. Raises UserError that begins with `source`.

    Refused are also keys that are stated twice, and nesting or numbers of a length that no program writes.
    """
    try:
        return json.loads(content, object_pairs_hook=_without_twins, parse_int=_integer)
    except RecursionError as error:
        raise UserError(f"{source}: not usable JSON: nested too deeply") from error
    except Unfit as problem:
        raise UserError(f"{source}: {problem}") from problem
    except ValueError as error:
        raise UserError(f"{source}: not valid JSON: {error}") from error


def _without_twins(pairs):
    values = {}
    for key, value in pairs:
        if key in values:
            raise Unfit(shown(key), "stated twice")
        values[key] = value
    return values


def _integer(digits):
    if len(digits) > LONGEST_INTEGER:
        raise Unfit("", f"a number of {len(digits)} digits")
    return int(digits)
