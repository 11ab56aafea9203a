"""Atomic outputs: old content survives a failure, nothing else is left behind."""

import pytest

from obj2ngp.common.files import UserError, atomic_folder, atomic_path, run_program


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


def test_user_errors_are_one_line_and_exit_code_1(capsys):
    def main(argv):
        raise UserError("chair: no such file")

    with pytest.raises(SystemExit) as exit_info:
        run_program(main, [])
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "error: chair: no such file\n"
