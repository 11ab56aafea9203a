"""Atomic outputs: old content survives a failure, nothing else is left behind."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from obj2ngp.common.files import UserError, atomic_folder, atomic_path, failure, run_program, set_aside

ROOT = Path(__file__).resolve().parent.parent


def test_file_appears_only_when_the_block_succeeds(tmp_path):
    target = tmp_path / "new" / "model.bin"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".bin" and temporary.parent == target.parent
        temporary.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"

    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == ["model.bin"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass


def test_folder_replaces_all_former_files_or_none(tmp_path):
    target = tmp_path / "test"
    with atomic_folder(target) as temporary:
        (temporary / "000.png").write_text("old")
        (temporary / "001.png").write_text("old")

    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        (temporary / "000.png").write_text("new")
        raise RuntimeError
    assert sorted(path.name for path in target.iterdir()) == ["000.png", "001.png"]

    with atomic_folder(target) as temporary:
        (temporary / "000.png").write_text("new")
    assert [path.read_text() for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["test"]


def test_what_a_killed_run_left_is_removed_by_the_next_run_of_the_same_job(tmp_path):
    """A process is killed while it writes three outputs, of which two are written again."""
    program = """if True:
        import sys, time
        from obj2ngp.common.files import atomic_folder, atomic_path
        with atomic_path("a [1].txt") as file, atomic_folder("test"), atomic_folder("test-0123456789ab"):
            file.write_text("half")
            print("writing", flush=True)
            time.sleep(600)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow_scripts")}
    command = [sys.executable, "-c", program]
    killed = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    assert killed.stdout.readline() == b"writing\n"
    killed.kill()
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / ".test-notes").touch()  # not ours
    with atomic_path(tmp_path / "a [1].txt") as temporary:
        temporary.write_text("whole")
    with atomic_folder(tmp_path / "test"):
        pass
    other, *names = sorted(path.name for path in tmp_path.iterdir())
    assert other.startswith(".test-0123456789ab-") and names == [".test-notes", "a [1].txt", "test"]


def test_a_folder_with_a_key_keeps_what_a_failed_block_wrote_for_the_next_one(tmp_path):
    target, key = tmp_path / "train", "0123456789ab"
    with pytest.raises(KeyboardInterrupt), atomic_folder(target, key) as temporary:
        (temporary / "000.png").write_text("first")
        raise KeyboardInterrupt
    assert not target.exists()
    with atomic_folder(target, key) as temporary:
        assert (temporary / "000.png").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


@pytest.mark.parametrize("key", [None, "ba9876543210"])
def test_files_of_another_key_are_removed(tmp_path, key):
    with pytest.raises(OSError), atomic_folder(tmp_path / "train", "0123456789ab") as temporary:
        (temporary / "000.png").write_text("other")
        raise OSError
    with atomic_folder(tmp_path / "train", key) as temporary:
        assert list(temporary.iterdir()) == []
        assert list(tmp_path.iterdir()) == [temporary]


def test_bad_input_leaves_nothing_behind_a_key(tmp_path):
    with pytest.raises(UserError), atomic_folder(tmp_path / "train", "0123456789ab"):
        raise UserError("nothing is seen")
    assert list(tmp_path.iterdir()) == []


def test_user_errors_are_one_line_and_exit_code_1(capsys):
    def main(argv):
        raise UserError("chair: no such file")

    with pytest.raises(SystemExit) as exit_info:
        run_program(main, [])
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "error: chair: no such file\n"


@pytest.mark.parametrize("how", [atomic_path, atomic_folder])
@pytest.mark.parametrize("link", [False, True])
def test_what_is_neither_a_file_nor_a_folder_is_not_replaced(tmp_path, how, link):
    """As a device such as /dev/null: all users of the machine would lose it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if link:
        (tmp_path / "link").symlink_to(pipe)
    with pytest.raises(UserError, match="neither a file nor a folder"), how(tmp_path / "link" if link else pipe):
        raise AssertionError("work was done")
    assert sorted(path.name for path in tmp_path.iterdir()) == (["link", "pipe"] if link else ["pipe"])
    assert pipe.is_fifo()


def make_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # as /dev/null
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_set_aside_as_well(tmp_path, make):
    make(tmp_path / "model.st")
    assert set_aside(tmp_path / "model.st") == tmp_path / ".model.unusable.st"
    make(tmp_path / "model.st")
    set_aside(tmp_path / "model.st")
    assert [path.name for path in tmp_path.iterdir()] == [".model.unusable.st"]


def test_a_device_is_not_set_aside(tmp_path):
    make_device(tmp_path / "null")
    with pytest.raises(UserError, match="null: a device"):
        set_aside(tmp_path / "null")
    assert (tmp_path / "null").exists()


@pytest.mark.parametrize("how, other", [(atomic_path, "folder"), (atomic_folder, "file")])
@pytest.mark.parametrize("link", [False, True])
def test_a_file_takes_no_folder_s_place_and_no_folder_a_file_s(tmp_path, how, other, link):
    taken = tmp_path / "taken"
    if other == "folder":
        taken.mkdir()
        (taken / "notes.txt").touch()
    else:
        taken.touch()
    (tmp_path / "link").symlink_to(taken)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=f"a {other} is there"), how(tmp_path / "link" if link else taken):
        raise AssertionError("work was done")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("how", [atomic_path, atomic_folder])
@pytest.mark.parametrize("path", ["", ".", "./", "..", "/", "new/.."])
def test_a_path_without_a_name_is_refused(tmp_path, monkeypatch, how, path):
    """What an option is without its value; and nobody's working folder is replaced."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="name .* is missing"), how(path):
        raise AssertionError("work was done")
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]


def test_a_link_to_a_folder_is_replaced_and_the_folder_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.txt").touch()
    (tmp_path / "test").symlink_to(tmp_path / "elsewhere")
    with atomic_folder(tmp_path / "test") as temporary:
        (temporary / "000.png").touch()
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert names == ["elsewhere", "elsewhere/kept.txt", "test", "test/000.png"]


def test_an_encoder_s_own_words_are_told_with_the_output(tmp_path):
    with pytest.raises(OSError) as info, atomic_path(tmp_path / "a.webp"):
        raise OSError("encoder error -2")
    assert failure(info.value) == f"{tmp_path}/a.webp: encoder error -2"


def test_an_interrupted_program_says_so_and_ends_by_its_signal():
    program = """if True:
        import time
        from obj2ngp.common.files import run_program
        def main(argv):
            print("working", flush=True)
            time.sleep(600)
        run_program(main, [])
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow_scripts")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes)
    assert running.stdout.readline() == b"working\n"
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=60)[1] == b"error: interrupted\n" and running.returncode == -signal.SIGINT
