"""Model files and checkpoints with something else in them: JSON and arrays, written anew."""

import json
import struct

import numpy as np

import damage
from damage import NO_FILES, at


def parts(path):
    """(header's JSON, bytes of the arrays) of a safetensors file."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(path, header, arrays, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + arrays)


def own(where, value):
    """Has the `value` at a place of our own JSON in the header."""

    def spoil(path):
        header, arrays = parts(path)
        content = json.loads(header["__metadata__"]["obj2ngp"])
        at(where, value)(content)
        header["__metadata__"]["obj2ngp"] = json.dumps(content)
        joined(path, header, arrays)

    return spoil


def outer(where, value):
    """Has the `value` at a place of the file's header."""

    def spoil(path):
        header, arrays = parts(path)
        at(where, value)(header)
        joined(path, header, arrays)

    return spoil


def array(name, change):
    """Changes the numbers of an array in place."""

    def spoil(path):
        header, arrays = parts(path)
        begin, end = header[name]["data_offsets"]
        kind = {"F32": np.float32, "I32": np.int32, "U8": np.uint8}[header[name]["dtype"]]
        values = np.frombuffer(arrays[begin:end], kind).copy()
        change(values)
        joined(path, header, arrays[:begin] + values.tobytes() + arrays[end:])

    return spoil


def put(value):
    def change(values):
        values[len(values) // 2] = value

    return change


def raw(function):
    """Changes the bytes of the file: a function of the header's length, the header and the arrays."""

    def spoil(path):
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        path.write_bytes(function(length, content[8 : 8 + length], content[8 + length :]))

    return spoil


def packed(length, header=b"{}", arrays=b""):
    return struct.pack("<Q", length) + header + arrays


TENSOR_FILES = [
    *NO_FILES,
    ("header of 2^63 bytes", raw(lambda n, h, a: packed(2**63, h, a)), "not a safetensors file of ours"),
    ("header of 100 GB", raw(lambda n, h, a: packed(10**11, h, a)), "not a safetensors file of ours"),
    ("no header", raw(lambda n, h, a: packed(0, b"", a)), "not a safetensors file of ours"),
    ("header longer", raw(lambda n, h, a: packed(n + 9, h, a)), ""),
    ("header shorter", raw(lambda n, h, a: packed(n - 9, h, a)), ""),
    ("header alone", raw(lambda n, h, a: packed(n, h)), "cut off, or damaged"),
    ("a byte missing", raw(lambda n, h, a: packed(n, h, a[:-1])), "cut off, or damaged"),
    ("a byte more", raw(lambda n, h, a: packed(n, h, a + b"x")), "cut off, or damaged"),
    ("empty header", raw(lambda n, h, a: packed(2, b"{}", a)), "__metadata__: missing"),
    ("no text", raw(lambda n, h, a: packed(4, b"\xff\xfe\xff\xfe", a)), "its header is no text"),
    ("deep header", raw(lambda n, h, a: packed(200_000, b"[" * 200_000)), "nested too deeply"),
    ("list", raw(lambda n, h, a: packed(2, b"[]")), "holds no keys"),
    ("no metadata", outer("__metadata__", ...), "__metadata__: missing"),
    ("metadata list", outer("__metadata__", []), "__metadata__: [] holds no keys"),
    ("metadata of others", outer("__metadata__", {"format": "pt"}), "__metadata__.obj2ngp: missing"),
    ("metadata number", outer("__metadata__", {"obj2ngp": 3}), "is no text"),
    ("metadata no JSON", outer("__metadata__", {"obj2ngp": "{"}), "not valid JSON"),
    ("metadata deep", outer("__metadata__", {"obj2ngp": "[" * 200_000}), "nested too deeply"),
    ("metadata twice", outer("__metadata__", {"obj2ngp": '{"a": 1, "a": 2}'}), "stated twice"),
    ("no array", outer("table", ...), ""),
    ("array no mapping", outer("table", 3), "table: 3 holds no keys"),
    ("type unknown", outer("table.dtype", "F33"), "does not fit its type and shape"),
    ("type wider", outer("table.dtype", "F64"), "does not fit its type and shape"),
    ("type no text", outer("table.dtype", 32), "table.dtype"),
    ("shape larger", outer("table.shape", [2**40, 2**40]), "does not fit its type and shape"),
    ("shape negative", outer("table.shape", [-1, 2]), "table.shape[0]"),
    ("shape no list", outer("table.shape", "512"), "table.shape"),
    ("shape of NaN", outer("table.shape", [damage.NAN]), "table.shape[0]"),
    ("places beyond", outer("table.data_offsets", [0, 10**12]), "does not fit its type and shape"),
    ("places backwards", outer("table.data_offsets", [4096, 0]), ""),
    ("places of one", outer("table.data_offsets", [0]), "table.data_offsets"),
    ("places of texts", outer("table.data_offsets", ["0", "1"]), "table.data_offsets"),
]
