from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from velro_gate.monitor.sources.kernel_files import KernelFile, TableColumn, number_after


def descriptors(path: Path) -> int:
    """How many descriptors of this process are open on one file."""
    return sum(1 for one in Path("/proc/self/fd").iterdir() if os.path.realpath(one) == str(path.resolve()))


def test_each_reading_shows_the_file_as_it_is_now_over_one_descriptor(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1\n")
    file = KernelFile(tmp_path / "f")
    assert file.read() == b"1\n"
    before = descriptors(tmp_path / "f")
    (tmp_path / "f").write_bytes(b"22\n")
    assert file.read() == b"22\n"
    assert descriptors(tmp_path / "f") == before


def test_a_file_that_is_longer_than_a_piece_is_read_whole(tmp_path: Path) -> None:
    text = bytes(range(256)) * 1_000
    (tmp_path / "f").write_bytes(text)
    assert KernelFile(tmp_path / "f").read() == text


def test_a_long_table_of_the_kernel_is_read_whole() -> None:
    assert KernelFile(Path("/proc/self/smaps")).read().endswith(Path("/proc/self/smaps").read_bytes()[-40:])


def test_a_file_that_comes_later_is_found_and_one_that_is_absent_says_nothing(tmp_path: Path) -> None:
    file = KernelFile(tmp_path / "f")
    assert file.read() == b""
    (tmp_path / "f").write_bytes(b"x")
    assert file.read() == b"x"


def test_a_file_closes_with_its_object(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    file = KernelFile(tmp_path / "f")
    before = descriptors(tmp_path / "f")
    file.read()
    assert descriptors(tmp_path / "f") == before + 1
    del file
    assert descriptors(tmp_path / "f") == before


def test_a_number_is_the_first_word_behind_its_name() -> None:
    assert number_after(b"MemFree:   12 kB\nMemAvailable:     34 kB\n", b"MemAvailable:") == 34.0
    assert number_after(b"MemFree: 12 kB", b"MemAvailable:") is None
    assert number_after(b"MemAvailable: kB", b"MemAvailable:") is None
    assert number_after(b"MemAvailable:", b"MemAvailable:") is None


NAMES = st.lists(st.text("ABCdef", min_size=1, max_size=6), min_size=1, max_size=6, unique=True)


@given(tables=st.dictionaries(st.sampled_from(["Ip", "Tcp", "TcpExt"]), NAMES, min_size=1), data=st.data())
def test_a_column_has_the_value_below_its_name(tables: dict[str, list[str]], data: st.DataObject) -> None:
    rows, values = [], {}
    for group, names in tables.items():
        numbers = [data.draw(st.integers(0, 10**12)) for _ in names]
        values |= {(group, name): number for name, number in zip(names, numbers, strict=True)}
        rows += [f"{group}: {' '.join(names)}\n", f"{group}: {' '.join(map(str, numbers))}\n"]
    text = "".join(rows).encode()
    for (group, name), number in values.items():
        column = TableColumn(group, name)
        assert [column.value(text), column.value(text)] == [number, number]
        assert column.value(text[:-2].rpartition(b" ")[0]) in (number, None)
    assert TableColumn("Udp", "A").value(text) is None
    assert TableColumn(group, "absent").value(text) is None
