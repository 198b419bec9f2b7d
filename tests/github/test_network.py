"""The network's variables: what can be used is used, and what cannot is named, before anything is measured."""

from __future__ import annotations

import pytest

from velro_gate.errors import UsageError
from velro_gate.github.api import Api
from velro_gate.github.network import readable_no_proxy


def api() -> Api:
    return Api(base_url="https://api.github.com", repository="acme/shop", token="t")


@pytest.mark.parametrize("value", ["[::1]", "127.0.0.1,[::1],.local", "a b,é", "*", "", "::1", "["])
def test_no_proxy_is_read_however_it_is_written(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    environ = {"NO_PROXY": value}
    readable_no_proxy(environ)
    monkeypatch.setenv("NO_PROXY", environ["NO_PROXY"])
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    api()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5h://user:hunter2@proxy:1080"),
        ("HTTPS_PROXY", "ftp://user:hunter2@proxy"),
        ("https_proxy", "socks5://proxy:1080"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSLKEYLOGFILE", "/nowhere/keys"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_with_exit_code_two(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name) as caught:
        api()
    assert "hunter2" not in str(caught.value)
