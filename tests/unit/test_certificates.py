"""A CA is checked before it is believed, and lies in a file that nobody else can read or exchange."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.servers.certificates import bare, examine, file_of
from hybrid_sync_cli.stack.authority import Authority

PEM = Authority("The private CA").pem


def test_a_bundle_is_counted_and_dated() -> None:
    bundle = examine(PEM + Authority("Soon gone", days=20).pem + Authority("Gone", days=-1).pem, "ca.pem")

    now = datetime.now(UTC)
    assert (bundle.valid, bundle.expired) == (2, 1)
    assert timedelta(days=19) < bundle.ends - now <= timedelta(days=20)
    assert bundle.ends_soon(now)
    assert not examine(PEM, "ca.pem").ends_soon(now)


def test_remarks_between_certificates_are_left_out() -> None:
    remarked = f"# Autorité de certification\nSubject: CN = The CA\n{PEM}\nthe end -----\n"

    assert examine(remarked, "ca.pem").valid == 1
    assert bare(remarked) == PEM
    assert file_of(remarked, "target_ca").read_text("ascii") == PEM


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no certificates that can be read"),
        ("prod-ca.crt", "holds no certificates that can be read"),
        (PEM.replace("MI", "!!"), "holds no certificates that can be read"),
        (PEM + PEM[:200], "holds no certificates that can be read"),
        (Authority("Gone", days=-1).pem, "holds no CA that is still valid: the last ended on 20"),
        (Authority("A CA").issue("db.example.com")[0], "holds a certificate that is not a CA's"),
        (PEM + Authority("A CA").issue("db.example.com")[1], "holds a private key"),
    ],
)
def test_what_is_no_valid_ca_is_refused_by_the_name_of_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigurationMissing, match=f"^ca.pem {said}"):
        examine(text, "ca.pem")


def test_the_file_is_private_and_made_once() -> None:
    path = file_of(PEM, "target_ca")

    assert path.read_text("ascii") == PEM
    assert (path.stat().st_mode & 0o077, path.parent.stat().st_mode & 0o077) == (0, 0)
    assert file_of(PEM, "target_ca") == path
    path.unlink()  # as cleaners of /tmp do
    assert file_of(PEM, "target_ca").read_text("ascii") == PEM


def test_the_file_goes_with_its_process() -> None:
    code = f"from hybrid_sync.servers.certificates import file_of; print(file_of({PEM!r}, 'target_ca'))"
    said = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)

    assert (said.stderr, said.stdout.endswith(".pem\n")) == ("", True)
    assert subprocess.run(["test", "-e", said.stdout.strip()]).returncode == 1


def test_a_worker_whose_file_was_tidied_away_makes_it_anew() -> None:
    before = file_of(PEM, "target_ca")
    shutil.rmtree(before.parent)

    after = file_of(PEM, "target_ca")

    assert (after.read_text("ascii"), after.parent.stat().st_mode & 0o077) == (PEM, 0)
    assert after.parent != before.parent
