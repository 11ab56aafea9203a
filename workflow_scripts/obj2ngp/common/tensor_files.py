"""Headers of safetensors files: what a file says of itself, checked before anything else of it is read.

The format: eight bytes (little-endian) with the length of a JSON text, that text, then the arrays. The JSON names each
array's dtype, shape and place, and has texts under ``__metadata__``; ours is JSON again, under ``obj2ngp``.

Standard library only: a table of many thousand models reads the header of each.
"""

import os
import struct

from .checks import checked, items, mapping, number, numbers, open_file, parse_json, text, whole
from .files import UserError

KEY = "obj2ngp"  # of our own JSON in the metadata
LARGEST_HEADER = 1 << 24  # bytes; the log's rows of a million steps are in that of a checkpoint
METADATA = "__metadata__"
SIZES = {"F32": 4, "F16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}  # bytes, of the types that we write
TENSOR = mapping(
    {"dtype": text(), "shape": items(whole(0, 2**40), "sizes", least=0), "data_offsets": numbers(2, whole(0, 2**40))}
)
MOST = 1e15  # steps, faces, seconds: more than there can be
COUNT = whole(0, MOST)
LABEL = text(200)
TRAINED = mapping(  # what tables and pages tell of a model, as our JSON in its file has it
    {
        "training_seconds": number(-1),
        "steps": COUNT,
        "backend": LABEL,
        "device": LABEL,
        "versions": mapping({}, {"torch": LABEL, "obj2ngp": LABEL}),
        "resolution": numbers(2, whole(1, 65535)),
    }
)


def read_header(path, content):
    """(our JSON, which has the shape `content`; {array's name: (dtype, shape)}) of a safetensors file.

    Raises UserError for a file that is none of ours: the file, the key, and what is wrong.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, LARGEST_HEADER):
            raise UserError(f"{path}: not a safetensors file of ours: its header has {length:,} of {size:,} bytes")
        raw = file.read(length)
    try:
        header = parse_json(raw.decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a safetensors file of ours: its header is no text") from error
    checked(header, mapping({METADATA: mapping({KEY: text(LARGEST_HEADER)})}), path)
    own = parse_json(header.pop(METADATA)[KEY], f"{path}: {KEY}")
    checked(header, mapping({name: TENSOR for name in header}), path)
    end = 0
    for name, tensor in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end_of_last = tensor["data_offsets"][0], end
        end = tensor["data_offsets"][1]
        count = 1
        for side in tensor["shape"]:
            count *= int(side)
        if begin != end_of_last or end - begin != count * SIZES.get(tensor["dtype"], 0):
            raise UserError(f"{path}: {name}: its place does not fit its type and shape")
    if end != size - 8 - length:
        raise UserError(f"{path}: {size:,} bytes long, its header makes {8 + length + end:,}: cut off, or damaged")
    arrays = {name: (tensor["dtype"], tuple(map(int, tensor["shape"]))) for name, tensor in header.items()}
    return checked(own, content, path), arrays
