"""Certificate files are looked at while the scenario is read, each fault at its line, and no key is asked for a password."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.scenario.files import faults, load, shop


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds an authority, a client's certificate and key, an encrypted key and another one, and what is no PEM at all."""
    ca = trustme.CA()
    client, other = ca.issue_cert("client@velro.test"), ca.issue_cert("other@velro.test")
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    other.private_key_pem.write_to_path(str(tmp_path / "other.key"))
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    (tmp_path / "text.txt").write_text("nothing of the kind", encoding="utf-8")
    subprocess.run(
        ["openssl", "pkey", "-in", "client.key", "-aes256", "-passout", "pass:sekret", "-out", "locked.key"],
        cwd=tmp_path, check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return tmp_path


def with_target(**target: Any) -> dict[str, Any]:
    return {**shop(), "target": {"url": "https://127.0.0.1:8400", **target}}


def test_sound_files_are_taken_relative_to_the_scenario(folder: Path) -> None:
    target = load(with_target(ca_file="ca.pem", client_certificate="client.pem", client_key="client.key"), folder).target
    assert target.ca_file == str(folder / "ca.pem")
    assert (target.client_certificate, target.client_key) == (str(folder / "client.pem"), str(folder / "client.key"))


def test_certificate_and_key_may_stand_in_one_file(folder: Path) -> None:
    assert load(with_target(client_certificate="both.pem"), folder).target.client_key is None


def test_file_names_may_come_from_the_environment_and_none_is_none(folder: Path) -> None:
    data = with_target(ca_file="${env.CA:-}")
    assert load(data, folder).target.ca_file is None
    assert load(data, folder, {"CA": str(folder / "ca.pem")}).target.ca_file == str(folder / "ca.pem")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"ca_file": "none.pem"}, "target.ca_file: there is no file none.pem"),
        ({"ca_file": "."}, "cannot be read"),
        ({"ca_file": "text.txt"}, "text.txt holds no certificate"),
        ({"ca_file": "client.key"}, "client.key holds no certificate"),
        ({"client_certificate": "none.pem"}, "target.client_certificate: there is no file none.pem"),
        ({"client_certificate": "client.pem"}, "client.pem holds no private key"),
        ({"client_certificate": "text.txt", "client_key": "client.key"}, "text.txt holds no certificate"),
        ({"client_certificate": "client.pem", "client_key": "none.key"}, "target.client_key: there is no file none.key"),
        ({"client_certificate": "client.pem", "client_key": "text.txt"}, "text.txt holds no private key"),
        ({"client_certificate": "client.pem", "client_key": "other.key"}, "other.key does not belong to the certificate"),
        ({"client_certificate": "client.pem", "client_key": "locked.key"}, "locked.key is encrypted"),
        ({"client_key": "client.key"}, "belongs to a 'client_certificate'"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported_with_its_line(folder: Path, target: dict[str, str], says: str) -> None:
    (fault,) = faults(with_target(**target), folder)
    assert says in fault
    line = fault.split(":")[1]
    written = (folder / "scenario.yaml").read_text().splitlines()
    assert f'"{list(target)[-1]}"' in written[int(line) - 1] or f'"{next(iter(target))}"' in written[int(line) - 1]
