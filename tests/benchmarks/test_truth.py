from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.processes import FailedError
from benchmarks.truth import Delays, Log, TruthServer, truth

ANSWER_END = b'{"ok":true}'


@contextlib.contextmanager
def serving(delay: str, seed: int = 1, capacity: float | None = None) -> Iterator[TruthServer]:
    server = TruthServer(Delays.parse(delay), seed, capacity=capacity)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
        server.close()


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode()


def read_answers(sock: socket.socket, count: int) -> bytes:
    got = b""
    while got.count(ANSWER_END) < count:
        got += sock.recv(65_536)
    return got


@pytest.mark.parametrize("text", ["", "constant", "constant:1,2", "lognormal:1", "gamma:1", "constant:-1", "bimodal:1,2,x"])
def test_a_delay_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Delays.parse(text)


@pytest.mark.parametrize("text", ["constant:0.02", "lognormal:0.02,0.6,0.8", "bimodal:0.005,0.12,0.1"])
def test_equal_seeds_draw_equal_delays(text: str) -> None:
    delays = Delays.parse(text)
    assert str(delays) == text
    first, again = (delays.draw(np.random.default_rng(7), 1_000) for _ in range(2))
    assert np.array_equal(first, again)
    assert (first >= 0.0).all()


def test_the_drawn_delays_have_the_shape_that_was_asked_for() -> None:
    random = np.random.default_rng(3)
    lognormal = Delays.parse("lognormal:0.02,0.6,0.1").draw(random, 20_000)
    assert abs(np.median(lognormal) / 0.02 - 1.0) < 0.05
    assert lognormal.max() == 0.1
    bimodal = Delays.parse("bimodal:0.005,0.12,0.1").draw(random, 20_000)
    assert set(bimodal.tolist()) == {0.005, 0.12}
    assert abs((bimodal == 0.12).mean() - 0.1) < 0.01


def test_every_request_is_counted_logged_and_answered_after_its_delay() -> None:
    with serving("bimodal:0.001,0.01,0.5", seed=5) as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        for user in range(40):
            sock.sendall(request(f"/u/{user}"))
            read_answers(sock, 1)
    log = server.log()
    assert server.counted == len(log) == 40
    assert log.user.tolist() == list(range(40))
    assert np.array_equal(log.injected, Delays.parse("bimodal:0.001,0.01,0.5").draw(np.random.default_rng(5), 40))
    assert (log.service_time >= log.injected).all()


def test_a_server_of_a_given_capacity_takes_requests_up_one_after_the_other() -> None:
    with (
        serving("constant:0.002", capacity=500.0) as server,
        socket.create_connection(("127.0.0.1", server.port)) as sock,
    ):
        sock.sendall(b"".join(request(f"/u/{user}") for user in range(20)))
        read_answers(sock, 20)
    log = server.log()
    waited = log.answered - log.arrived[0] - 0.002
    assert (waited >= np.arange(20) / 500.0 - 1e-6).all()


def test_requests_in_one_piece_and_requests_in_many_pieces_are_counted_alike() -> None:
    with serving("constant:0") as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"".join(request("/1") for _ in range(10)))
        read_answers(sock, 10)
        for byte in request("/2"):
            sock.sendall(bytes([byte]))
        read_answers(sock, 1)
    assert server.counted == 11
    assert server.log().user.tolist() == [1] * 10 + [2]


def test_a_question_after_its_health_is_answered_and_not_counted() -> None:
    with serving("constant:5") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(request("/health"))
            assert read_answers(sock, 1).startswith(b"HTTP/1.1 200")
        assert server.counted == 0


def test_a_client_that_went_away_is_counted_and_has_no_answer() -> None:
    with serving("constant:0.01") as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(request("/3"))
        # The answer to another client comes after the first one's time.
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            sock.close()
            for _ in range(2):
                other.sendall(request("/4"))
                read_answers(other, 1)
    log = server.log()
    assert len(log) == 3
    assert np.isnan(log.answered[log.user == 3]).all()
    assert not np.isnan(log.answered[log.user == 4]).any()


def test_a_log_survives_its_file(tmp_path: Path) -> None:
    log = Log(
        arrived=np.array([1.0, 2.0]),
        answered=np.array([1.5, np.nan]),
        injected=np.array([0.5, 0.5]),
        user=np.array([1, 2], np.uint32),
    )
    log.write(tmp_path / "log.npz")
    again = Log.read(tmp_path / "log.npz")
    assert np.array_equal(again.arrived, log.arrived)
    assert len(again.within(1.5, 3.0)) == 1


def test_in_a_process_of_its_own_it_counts_what_it_was_sent() -> None:
    with truth(Delays.parse("constant:0.001")) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            for _ in range(5):
                sock.sendall(request("/9"))
                read_answers(sock, 1)
        log = server.finish()
    assert len(log) == 5
    assert (log.service_time >= 0.001).all()


def test_a_server_that_does_not_start_is_an_error_that_says_why() -> None:
    with pytest.raises(FailedError, match="no such delay"), truth(Delays(kind="gamma", parameters=(1.0,))):
        pass
