"""No argument of a public function is renamed, moved or given another default by accident."""

from tools.write_signatures import FILE, signatures


def test_public_signatures_are_as_written_down():
    known = FILE.read_text(encoding="utf-8").splitlines()
    assert len(known) > 700
    assert list(signatures()) == known, "if it is meant: python -m tools.write_signatures"
