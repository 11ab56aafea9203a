"""Tables as text files, CSV or with tabulators: read whole and checked, written so that a spreadsheet runs none of it.

Standard library only, Python 3.7.
"""

import csv
import io

from .checks import read_text
from .files import UserError, in_a_line

# How a cell begins that a spreadsheet, be it a Japanese one, takes for a formula, or drops the start of.
FORMULA = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")


def read_table(path, columns, delimiter=",", lenient=False):
    """The rows of the table in the file `path`, dicts of texts, which have at least the `columns`.

    Raises UserError: the file, the line, and what is wrong with it. Each row has a cell for each column, and the last
    line ends: a table without that was cut off. Where `lenient`, rows that are cut off or too long are left out.
    """
    text = read_text(path)
    if lenient:
        text = text[: text.rfind("\n") + 1]
    if "\0" in text or not text.endswith("\n"):
        raise UserError(f"{path}: {'holds NUL characters' if chr(0) in text else 'cut off or empty: no end of line'}")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(rows, [])
        for column in columns:
            if header.count(column) != 1:
                raise UserError(f"{path}: needs one column '{column}'")
        if len(set(header)) != len(header):
            raise UserError(f"{path}: names a column twice")
        table = []
        for row in rows:
            if len(row) != len(header) and lenient:
                continue
            if len(row) != len(header):
                raise UserError(f"{path}: line {rows.line_num}: {len(row)} cells, {len(header)} in the header")
            table.append(dict(zip(header, map(_plain, row))))
        return table
    except csv.Error as error:
        raise UserError(f"{path}: line {rows.line_num}: {error}") from error


def write_table(path, columns, rows, delimiter=","):
    """Write the `rows`, dicts with some of the `columns` as keys, to the file `path`; absent cells are empty."""
    with open(str(path), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", delimiter=delimiter)
        writer.writeheader()
        writer.writerows({key: _safe(cell) for key, cell in row.items()} for row in rows)


def _safe(cell):
    """A cell as it is written: a text without control characters, after ' where it looks like a formula."""
    if not isinstance(cell, str):
        return cell
    cell = in_a_line(cell)
    return "'" + cell if _is_formula(cell) else cell


def _plain(cell):
    """What `_safe` made the `cell` of, but for control characters."""
    return cell[1:] if cell[:1] == "'" and _is_formula(cell) else cell


def _is_formula(cell):
    """Whether a cell looks like a formula, be it behind any number of '."""
    cell = cell.lstrip("'")
    if not cell.startswith(FORMULA):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
