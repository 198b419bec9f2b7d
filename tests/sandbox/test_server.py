from __future__ import annotations

import contextlib
import json
import resource
import socket

import pytest

from velro_gate.errors import UsageError
from velro_gate.sandbox.server import Started, listen, raise_to_hard_limit, url_of


def test_port_zero_takes_a_free_one_and_the_url_names_it() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_address_of_the_newer_protocol_is_written_in_brackets() -> None:
    with contextlib.closing(listen("::1", 0)) as listener:
        assert url_of(listener).startswith("http://[::1]:")


def test_a_port_that_is_taken_is_a_usage_error() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        listener.listen()
        with pytest.raises(UsageError, match="cannot listen"):
            listen("127.0.0.1", listener.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "not a host", ""[:0] + "x" * 300])
def test_a_host_that_is_not_ours_is_a_usage_error(host: str) -> None:
    with pytest.raises(UsageError, match="cannot listen"):
        listen(host, 0)


def test_as_many_descriptors_as_the_system_allows_are_taken() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert raise_to_hard_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= before[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_programs_get_one_line_of_json_and_people_what_to_paste_into_a_shell() -> None:
    started = Started(url="http://127.0.0.1:1", key="k", pid=7)
    assert json.loads(started.line()) == {"url": "http://127.0.0.1:1", "key": "k", "pid": 7}
    assert "\n" not in started.line()
    assert "export SUPABASE_SERVICE_KEY=k" in started.text().splitlines()
    assert "export VELRO_API_URL=http://127.0.0.1:1" in started.text().splitlines()


def test_a_listener_is_taken_again_at_once_after_a_restart() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as first:
        first.listen()
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = first.accept()
            accepted.close()
    listen("127.0.0.1", port).close()
