from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from velro_gate.monitor.sources.listeners import established, listening_pids


def fake_proc(folder: Path, rows: list[str], holders: dict[int, list[str]]) -> Path:
    (folder / "net").mkdir()
    (folder / "net/tcp").write_text("  sl  local_address rem_address   st\n" + "".join(f"{row}\n" for row in rows))
    for pid, links in holders.items():
        (folder / str(pid) / "fd").mkdir(parents=True)
        for number, link in enumerate(links):
            (folder / str(pid) / "fd" / str(number)).symlink_to(link)
    return folder


def row(local: str, remote: str, state: str, inode: int) -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0"


LISTENING = row("0100007F:1F90", "00000000:0000", "0A", 77)


def test_every_process_that_shares_the_socket_is_found(tmp_path: Path) -> None:
    proc = fake_proc(
        tmp_path,
        [LISTENING, row("0100007F:0050", "00000000:0000", "0A", 78)],
        {1000001: ["socket:[77]"], 1000002: ["/dev/null", "socket:[77]"], 1000003: ["socket:[78]"]},
    )
    assert listening_pids(8080, proc) == {1000001, 1000002}


def test_reading_stops_where_the_listening_sockets_end(tmp_path: Path) -> None:
    """The rest of the table is never looked at: what follows an established connection is not even well formed."""
    proc = fake_proc(
        tmp_path, [LISTENING, row("0100007F:1F90", "0100007F:9999", "01", 79), "rubbish"], {1000001: ["socket:[77]"]}
    )
    assert listening_pids(8080, proc) == {1000001}


def test_only_established_connections_to_the_port_are_counted(tmp_path: Path) -> None:
    rows = [
        LISTENING,
        *(row("0100007F:1F90", f"0100007F:{9000 + i:04X}", "01", i) for i in range(2000)),
        row("0100007F:1F90", "0100007F:9999", "06", 0),
        row("0100007F:9998", "0100007F:1F90", "01", 5),
    ]
    assert established(8080, fake_proc(tmp_path, rows, {})) == 2000


def test_where_the_kernel_lists_nothing_the_count_is_missing(tmp_path: Path) -> None:
    assert established(8080, tmp_path) is None


def test_real_connections_of_this_process_to_itself_count_once() -> None:
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            stack.enter_context(server.accept()[0])
        count = established(port)
    assert count in (3, None)
    assert os.getpid() not in listening_pids(port)
