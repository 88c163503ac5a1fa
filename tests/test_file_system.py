"""Whole files or none: what a save replaces, what it refuses, and what it clears away."""

import contextlib
import errno
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.io import file_system
from minigrad.io.file_system import replacing, write_file

posix = pytest.mark.skipif(os.name != "posix", reason="needs locks, pipes and signals of POSIX")


def write(path):
    write_file(path, b"content", "test")


def picture(path):
    w = mg.tensor([1.0], requires_grad=True)
    mg.make_dot(w * 2, {"w": w}).save(path)


def plot(path):
    pytest.importorskip("matplotlib")
    history = mg.History()
    history.history = {"loss": [2.0, 1.0]}
    history.plot(path)


#: Every way in which the library writes a file: a suffix, and the call.
WRITERS = {
    "write_file": ("", write),
    "save": (".safetensors", lambda path: mg.save({"x": mg.ones(2)}, path)),
    "save_checkpoint": (".safetensors", lambda path: mg.save_checkpoint(path, x=1)),
    "save_model": (".safetensors", lambda path: mg.save_model(nn.ReLU(), path)),
    "dot": (".dot", picture),
    "html": (".html", picture),
    "plot": (".png", plot),
}
every_writer = pytest.mark.parametrize("writer", WRITERS)


def target_of(writer, folder):
    suffix, call = WRITERS[writer]
    return folder / f"file{suffix}", call


@every_writer
def test_every_writer_replaces_the_file_in_one_step(writer, tmp_path, monkeypatch):
    path, call = target_of(writer, tmp_path)
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            call(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    call(path)
    assert path.read_bytes() != b"old"
    assert list(tmp_path.iterdir()) == [path]


@posix
@every_writer
def test_every_writer_refuses_pipes_devices_and_sockets(writer, tmp_path):
    path, call = target_of(writer, tmp_path)
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is a pipe, which a save would replace by a file"):
        call(path)
    path.unlink()
    path.symlink_to(os.devnull)
    with pytest.raises(ValueError, match="is a device"):
        call(path)
    assert os.path.exists(os.devnull)  # noqa: PTH110
    assert not os.path.isfile(os.devnull)  # noqa: PTH113
    assert list(tmp_path.iterdir()) == [path]


@every_writer
def test_every_writer_refuses_folders_and_files_that_may_only_be_read(
    writer, tmp_path, monkeypatch
):
    path, call = target_of(writer, tmp_path)
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder; add a file name"):
        call(path)
    path.rmdir()
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # a superuser may write everything
    with pytest.raises(PermissionError, match="may only be read; allow writing, or save elsewhere"):
        call(path)
    assert path.read_bytes() == b"old"


@every_writer
def test_every_writer_follows_links(writer, tmp_path):
    path, call = target_of(writer, tmp_path)
    real = tmp_path / "folder" / "real"
    real.parent.mkdir()
    path.symlink_to(real)
    for _ in range(2):  # first a link to nothing
        call(path)
        assert path.is_symlink()
        assert real.stat().st_size > 0
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        call(path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere" / "file")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        call(path)


@every_writer
def test_a_folder_may_be_written_to_but_not_listed(writer, tmp_path, monkeypatch):
    path, call = target_of(writer, tmp_path)
    open_file = os.open

    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    def open_no_folder(name, flags, *rest):
        return refused() if Path(name) == tmp_path else open_file(name, flags, *rest)

    # A superuser may list every folder, so the system's answer is played.
    for function in ("listdir", "scandir"):
        monkeypatch.setattr(os, function, refused)
    monkeypatch.setattr(os, "open", open_no_folder)
    call(path)
    assert path.stat().st_size > 0


@posix
@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="a superuser may do everything")
def test_folders_without_permissions(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "x.safetensors"
    try:
        folder.chmod(0o300)
        mg.save({"x": mg.ones(2)}, path)
        assert mg.load(path)["x"].shape == (2,)
        with pytest.raises(FileNotFoundError, match="there is no file"):
            mg.load(folder / "y.safetensors")
        folder.chmod(0o500)
        with pytest.raises(PermissionError, match="no permission to make files in"):
            mg.save({}, path)
        folder.chmod(0o700)
        path.chmod(0o400)
        with pytest.raises(PermissionError, match="may only be read"):
            mg.save({}, path)
    finally:
        folder.chmod(0o700)


def test_a_folder_in_which_no_file_can_be_made_is_named(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(PermissionError, match="no permission to make files in") as caught:
        write(tmp_path / "x")
    assert str(tmp_path) in str(caught.value)
    assert ".tmp" not in str(caught.value)


def test_a_long_name_can_be_saved_under(tmp_path):
    path = tmp_path / ("é" * 127)  # 254 bytes of the 255 that file systems allow
    write(path)
    write(path)
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("length", [1, 199, 200, 201, 255])
def test_a_hidden_file_has_a_name_that_the_next_save_looks_for(tmp_path, length, monkeypatch):
    path = tmp_path / ("n" * length)
    with replacing(path, "test"):
        (made,) = hidden(tmp_path)
        assert made.name.startswith(f".{path.name}.") == (length <= 200)
        assert re.fullmatch(r"\.[0-9a-f]{8}-[0-9a-f]{12}\.tmp", made.name[-26:])
        file_system._remove_abandoned(path)  # it is locked
        assert hidden(tmp_path) == [made]
        monkeypatch.setattr(file_system, "_lock", lambda descriptor: None)
        file_system._remove_abandoned(path)
        assert hidden(tmp_path) == []
        made.touch()


@posix
@pytest.mark.parametrize(("age", "stays"), [(86_399.5, True), (86_400.5, False)])
def test_a_file_of_another_machine_is_kept_for_a_day(tmp_path, age, stays, monkeypatch):
    litter = tmp_path / ".file.0123456789ab.tmp"
    litter.write_bytes(b"")
    now = litter.stat().st_mtime + age
    monkeypatch.setattr(file_system, "time", types.SimpleNamespace(time=lambda: now))
    write(tmp_path / "file")
    assert litter.exists() == stays


def test_an_error_is_told_also_where_the_new_file_is_gone(tmp_path):
    path = tmp_path / "file"

    def remove():
        for made in tmp_path.iterdir():
            made.unlink()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(path, "test"):
        remove()
    assert not path.exists()


def test_up_to_five_files_are_named_where_one_is_missing(tmp_path):
    for count in range(1, 8):
        (tmp_path / f"{count}.safetensors").write_bytes(b"")
        (tmp_path / f"{count}.txt").write_bytes(b"")
        with pytest.raises(FileNotFoundError) as caught:
            mg.load(tmp_path / "x.safetensors")
        named = ", ".join(f"{i}.safetensors" for i in range(1, min(count, 5) + 1))
        assert str(caught.value).endswith(f"; the folder holds {named}")


@posix
def test_the_file_is_flushed_and_then_its_folder(tmp_path, monkeypatch):
    flushed, closed, errors = [], [], []
    close = os.close

    def fsync(descriptor):
        flushed.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        if flushed[-1] and errors:
            raise OSError(errors[0], os.strerror(errors[0]))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(
        os, "close", lambda descriptor: (closed.append(descriptor), close(descriptor))
    )
    told = pytest.raises(OSError, match="Input/output")
    unsaid = contextlib.nullcontext()
    for error, outcome in (
        (0, unsaid),
        (errno.EINVAL, unsaid),
        (errno.ENOTSUP, unsaid),
        (errno.EIO, told),
    ):
        flushed.clear(), closed.clear()
        errors[:] = [error] if error else []
        with outcome:
            write(tmp_path / "file")
        assert flushed == [False, True]
        assert len(closed) == 1
        assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["", None, 3, b"bytes", "a\0b"])
def test_what_is_no_file_name_is_refused(name):
    with pytest.raises((TypeError, ValueError), match="test: "):
        write(name)


@posix
@pytest.mark.parametrize("read", [mg.load, mg.load_metadata, mg.load_checkpoint, mg.load_model])
def test_pipes_and_devices_are_not_read(read, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is a pipe, expected a file"):
        read(path)  # would wait for ever
    with pytest.raises(ValueError, match="is a device, expected a file"):
        read("/dev/zero")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        read(tmp_path / "file" / "x")


# -- what killed processes leave -------------------------------------------------------------------

#: Saves, and stands still in the middle of it.
HALFWAY = textwrap.dedent(
    """
    import sys
    from minigrad.io.file_system import replacing

    with replacing(sys.argv[1], "test") as file:
        file.write(b"half")
        file.flush()
        print("writing", flush=True)
        sys.stdin.readline()
    """
)


class Saving:
    """A process in the middle of a save."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HALFWAY, str(path)],
            env={**os.environ, "PYTHONPATH": str(Path(mg.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        assert self.process.stdout.readline() == "writing\n"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def finish(self):
        self.process.communicate("\n")
        assert self.process.returncode == 0


def hidden(folder):
    return sorted(p for p in folder.iterdir() if p.name.endswith(".tmp"))


@posix
def test_the_next_save_removes_what_killed_ones_left_and_nothing_else(tmp_path):
    path, other = tmp_path / "file", tmp_path / "file.b"
    with Saving(path) as killed, Saving(path) as living, Saving(other) as elsewhere:
        assert len(hidden(tmp_path)) == 3
        killed.process.send_signal(signal.SIGKILL)
        killed.process.communicate()
        elsewhere.process.send_signal(signal.SIGKILL)
        elsewhere.process.communicate()
        assert len(hidden(tmp_path)) == 3
        write(path)
        assert path.read_bytes() == b"content"
        assert [p.name.startswith(".file.b.") for p in hidden(tmp_path)].count(True) == 1
        assert len(hidden(tmp_path)) == 2  # that of the living, and that of another path
        living.finish()
    assert path.read_bytes() == b"half"
    write(other)
    assert sorted(tmp_path.iterdir()) == [path, other]


@posix
def test_other_peoples_files_are_left_alone(tmp_path):
    path = tmp_path / "file"
    here, there = file_system._machine(), "0123abcd"
    names = {
        f".file.{here}-0123456789ab.tmp": False,  # whether it stays
        f".file.{there}-0123456789ab.tmp": True,  # another machine's lock may not be seen here
        ".file.0123456789ab.tmp": True,
        f".file.{there}-0123456789ac.tmp": False,  # a day old
        ".file.0123456789ac.tmp": False,
        f".file2.{here}-0123456789ab.tmp": True,
        f".file.{here}-0123456789ab.tmp2": True,
        ".file.tmp": True,
        "file.tmp": True,
    }
    for name in names:
        (tmp_path / name).write_bytes(b"")
        if name.endswith("ac.tmp"):
            old = time.time() - 1.01 * file_system.DAY
            os.utime(tmp_path / name, (old, old))
    # What only looks like it: a link, a pipe, a folder.
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    odd = [tmp_path / f".file.{here}-00000000000{i}.tmp" for i in range(2)]
    odd[0].symlink_to(victim)
    odd[1].mkdir()
    write(path)
    assert victim.read_bytes() == b"precious"
    assert all(p.is_symlink() or p.is_dir() for p in odd)
    assert {name for name in names if (tmp_path / name).exists()} == {n for n in names if names[n]}


@posix
def test_a_file_that_was_found_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    """Another save comes between making a hidden file and locking it."""
    path = tmp_path / "file"
    lock = file_system._lock
    met = []

    def late(descriptor):
        if len(met) < 2:
            (made,) = hidden(tmp_path)
            met.append(made)
            if len(met) == 1:
                made.unlink()  # the other has removed it already
            else:
                raise BlockingIOError  # the other holds it, and is about to remove it
        lock(descriptor)

    monkeypatch.setattr(file_system, "_lock", late)
    write(path)
    assert len(met) == 2
    assert path.read_bytes() == b"content"


@posix
def test_a_file_system_without_locks_can_be_written_to(tmp_path, monkeypatch):
    path = tmp_path / "file"
    litter = tmp_path / f".file.{file_system._machine()}-0123456789ab.tmp"
    litter.write_bytes(b"")

    def unsupported(_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(file_system, "_lock", unsupported)
    write(path)
    assert path.read_bytes() == b"content"
    assert litter.exists()  # nobody can tell whether somebody writes it


@posix
def test_threads_and_processes_that_save_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "file"
    errors = []

    def save(n):
        try:
            for _ in range(30):
                with replacing(path, "test") as file:
                    file.write(bytes([n]) * 1000)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    program = textwrap.dedent(
        """
        import sys
        from minigrad.io.file_system import write_file
        for _ in range(30):
            write_file(sys.argv[1], b"p" * 1000, "test")
        """
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            env={**os.environ, "PYTHONPATH": str(Path(mg.__file__).parents[1])},
        )
        for _ in range(2)
    ]
    threads = [threading.Thread(target=save, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait() for other in others] == [0, 0]
    assert errors == []
    content = path.read_bytes()
    assert len(content) == 1000
    assert len(set(content)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_names_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"name the file best\.safetensors"):
        mg.save({"x": mg.ones(2)}, tmp_path / "best.pt")
    path = tmp_path / "t.npz"
    np.savez(path, x=np.ones(2))
    with pytest.raises(ValueError, match=r"an \.npz file of NumPy: read it with np\.load\(path\)"):
        mg.load(path)
    np.save(tmp_path / "t.npy", np.ones(2))
    with pytest.raises(ValueError, match=r"an \.npy file: read it with np\.load\(path\)"):
        mg.load(tmp_path / "t.npy")
