"""Outputs that appear whole or not at all, and errors that a user can act on.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import contextlib
import errno
import os
import re
import signal
import stat
import sys
from pathlib import Path

ERROR = "error: "  # how the line begins with which a program stops
# What steers a terminal, breaks a line, or shows text in another order than it has; and what no encoding has.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# In the words of PyTorch's RuntimeErrors, and of ImportErrors.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "failed to map segment")
NO_THREAD = "can't start new thread"  # in the words of Python's RuntimeError


class UserError(Exception):
    """Bad input: the message names the object or file and says what is wrong with it."""


@contextlib.contextmanager
def naming(name, file=None):
    """Put the name of the object before the message of an error that a user can act on, and raise it as UserError.

    `file` is what the work is about, for errors that name no file of their own, such as too little memory.
    """
    try:
        yield
    except Exception as error:
        words = failure(error, file)
        if words is None:
            raise
        raise UserError(f"object {name}: {words}") from error


def failure(error, file=None):
    """What to tell a user of an exception that is no bug: bad input, the machine's or the system's limits; else None.

    `file` is named where the exception itself names none.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    first_line = str(error).partition("\n")[0]
    where = f"{file}: " if file else ""
    if (
        isinstance(error, MemoryError)
        or isinstance(error, (RuntimeError, ImportError))
        and any(w in str(error) for w in OUT_OF_MEMORY)
    ):
        return where + "out of memory" + (f": {first_line}" if first_line else "")
    if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
        return where + NO_THREAD
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else where
        return where + (error.strerror or first_line)
    return None


def run_program(main, argv):
    """Run `main(argv)` as a command-line program: an error that a user can act on becomes one line and exit code 1.

    So does an interrupt, after which the process ends by its signal. What the program prints holds no control
    characters.
    """
    with _clean_streams():
        try:
            main(argv)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            words = failure(error)
            if words is None:
                raise
            with contextlib.suppress(OSError):  # nobody reads
                print(f"{ERROR}{in_a_line(words)}", file=sys.stderr, flush=True)
            if isinstance(error, KeyboardInterrupt):
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGINT)
            sys.exit(1)


def in_a_line(text):
    """A text of any origin as one line that a terminal can show: line ends and control characters as escapes."""
    return printable(text).replace("\n", "\\n")


def printable(text):
    """A text with its control characters, but for tabulators and line ends, as escapes such as `\\x1b`."""
    return CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


class _CleanStream:
    """A text stream that writes what is `printable`, in the encoding that it has, and names itself in errors.

    `stream` may be None: one that was closed when the program began.
    """

    def __init__(self, stream, name):
        self._stream, self._name = stream, name

    def write(self, text):
        with self._named():
            clean = printable(text)
            encoding = getattr(self._stream, "encoding", None)
            if encoding:
                clean = clean.encode(encoding, "backslashreplace").decode(encoding)
            self._stream.write(clean)
        return len(text)

    def flush(self):
        if self._stream is not None:
            with self._named():
                self._stream.flush()

    @contextlib.contextmanager
    def _named(self):
        try:
            if self._stream is None:
                raise OSError(errno.EBADF, "it is closed")
            yield
        except OSError as error:
            error.filename = self._name
            with contextlib.suppress(AttributeError, OSError):  # closed, or no file
                descriptor, nowhere = self._stream.fileno(), os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)  # what still waits to be written would be an error again
                os.close(nowhere)
            raise

    def __getattr__(self, name):
        return getattr(self._stream, name)


@contextlib.contextmanager
def _clean_streams():
    """Standard output and error as _CleanStreams, but for a terminal's error stream: progress is shown there."""
    _occupy_standard_descriptors()
    streams = sys.stdout, sys.stderr
    sys.stdout = _CleanStream(sys.stdout, "standard output")
    if sys.stderr is not None and not sys.stderr.isatty():
        sys.stderr = _CleanStream(sys.stderr, "standard error")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _occupy_standard_descriptors():
    """Open those of 0, 1 and 2 that are closed on nothing: no output of ours may get such a number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number


def _hidden_sibling(path, key=None):
    """A name in the folder of `path` (same suffix, not globbed by `*`): a fresh one, or that of `key`."""
    return path.parent / f".{path.stem}-{key or os.urandom(6).hex()}{path.suffix}"


def make_room(path, folder=False, kept=None):
    """Make the folder that `path`, a file or a `folder`, is to lie in, and remove what a killed run has left of it.

    That is: siblings but `kept`. No other process writes `path` at the same time: each output belongs to one job.
    Raises UserError or OSError where nothing can be put at `path`: a program that works for long asks first.
    """
    _refuse_other(path, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = re.compile(re.escape(f".{path.stem}-") + "[0-9a-f]{12}" + re.escape(path.suffix))
    for left in [entry for entry in path.parent.iterdir() if sibling.fullmatch(entry.name)]:
        if left != kept:
            remove(left)


def _refuse_other(path, folder=False):
    """Raise UserError where what is at `path` is no file, or no `folder`, that could be replaced, or it names none.

    Of a device, all users of the machine would lose it.
    """
    kind, other = ("folder", "file") if folder else ("file", "folder")
    if path.name in ("", os.pardir):  # what lies there is all that the user has there, or the parent
        raise UserError(f"{path}: a name for the {kind} to write is missing")
    try:
        mode = os.stat(str(path)).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{path}: neither a file nor a folder, nothing can take its place")
    if stat.S_ISDIR(mode) != folder:
        raise UserError(f"{path}: a {other} is there, and a {kind} is to be written")


def set_aside(path):
    """Rename what is at `path` and cannot be used, so that it is out of the way: X.Y becomes the hidden .X.unusable.Y.

    Returns the new Path. What was set aside before is gone. Raises UserError for a device, which others use.
    """
    path = Path(path)
    mode = os.lstat(str(path)).st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise UserError(f"{path}: a device")
    target = path.with_name(f".{path.stem.lstrip('.')}.unusable{path.suffix}")
    remove(target)
    os.replace(str(path), str(target))
    return target


def remove(path):
    """Remove the file or folder `path`, if it exists; of a link, itself."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # takes long to load, and most programs need it once at their end

        shutil.rmtree(str(path), ignore_errors=True)
    elif os.path.lexists(str(path)):
        path.unlink()


@contextlib.contextmanager
def _locating(temporary, path):
    """Have errors of the system, which often name no file or the `temporary` one, name the output `path`."""
    try:
        yield
    except OSError as error:
        name = str(path) if error.filename is None else os.fsdecode(error.filename)
        if error.errno is None:  # an encoder's own words
            full = not os.statvfs(str(path.parent)).f_bavail
            error.strerror = os.strerror(errno.ENOSPC) if full else str(error)
        error.filename = name.replace(str(temporary), str(path))
        raise


@contextlib.contextmanager
def atomic_path(path):
    """Yield a temporary sibling of the file `path`; it replaces `path` if the block succeeds.

    The sibling has the suffix of `path`, since many writers choose their format by it. Missing
    parent folders are made, and siblings that a killed run left are removed. After an exception
    `path` is as it was and the sibling is gone.
    """
    path = Path(path)
    make_room(path)
    temporary = _hidden_sibling(path)
    with _locating(temporary, path):
        try:
            yield temporary
            os.replace(str(temporary), str(path))
        finally:
            remove(temporary)


@contextlib.contextmanager
def atomic_folder(path, key=None):
    """Yield a sibling folder; it replaces the folder `path` if the block succeeds.

    Whatever `path` held before is gone afterwards, so files of a former run never remain. A folder
    cannot be replaced in one step: for an instant between two renames `path` is absent.

    The sibling is empty, and gone after an exception. With a `key`, 12 hexadecimal digits that say
    all that its files follow from, a block that was killed or failed leaves it, unless with a
    `UserError`; the next one with the same key goes on from the files in it, and any other call
    removes it. The block must write each file in one step.
    """
    path = Path(path)
    former = _hidden_sibling(path)
    with working_folder(path, key) as temporary:
        yield temporary
        try:
            if path.exists():
                os.replace(str(path), str(former))
            os.replace(str(temporary), str(path))
        finally:
            remove(former)


@contextlib.contextmanager
def working_folder(path, key=None):
    """Yield the sibling of `atomic_folder`, which is gone after the block whether that moved it away or not.

    With a `key`, it stays after an exception as it does there.
    """
    path = Path(path)
    temporary = _hidden_sibling(path, key)
    make_room(path, folder=True, kept=temporary)
    temporary.mkdir(exist_ok=True)
    try:
        with _locating(temporary, path):
            yield temporary
    except BaseException as reason:
        if key is None or isinstance(reason, UserError):
            remove(temporary)
        raise
    remove(temporary)
