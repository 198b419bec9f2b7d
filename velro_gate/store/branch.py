"""Baselines on a branch of the repository: read, changed and pushed as whole commits, however many write at once.

A writer fetches the tip, changes the files, makes one commit on that tip and pushes it. When another was faster the server
refuses, and the writer begins again from the fetch, after a random pause. So no write is lost, and none is merged.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from velro_gate.errors import BrokenError, PublishError
from velro_gate.store.files import unwritable
from velro_gate.store.git import Git, GitError
from velro_gate.store.pins import PIN
from velro_gate.units import format_count

LARGEST = 1_000_000
"""Bytes of a file; a baseline has some 64,000 at most."""
TRIES = 60
"""Pushes of one change at most: with many jobs at once each push is rejected as often as another one was faster."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
READS = 3
"""Fetches of one reading at most."""

_FASTER = re.compile(
    r"\[rejected\]|fetch first|non-fast-forward|stale info|cannot lock ref|failed to update ref|incorrect old value"
    r"|reference already exists"
)
# A branch is a file and a folder of branches is a folder: one name cannot be both.
_IN_THE_WAY = re.compile(r"'(?:refs/heads/)?([^']+)' exists; cannot create|directory file conflict|\(directory/file conflict\)")
_PROTECTED = re.compile(r"GH006|GH013|protected branch|repository rule violations", re.IGNORECASE)
_ABSENT = re.compile(r"couldn't find remote ref|could not find remote ref", re.IGNORECASE)
_DENIED = re.compile(
    r"Authentication failed|could not read Username|returned error: 40[13]|Permission to .* denied", re.IGNORECASE
)
_PASSING = re.compile(
    r"returned error: 5\d\d|timed out|Connection reset|early EOF|RPC failed|unexpected disconnect|Could not resolve host"
)
# To ``update-index --index-info`` mode 0 with any object name removes a file (git-update-index(1)).
_NO_FILE = "0" * 40
_OURS = (".json", PIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Where baselines are kept."""

    name: str
    """The branch that is written."""
    path: str = "baselines"
    """The folder in it."""
    start: str = ""
    """The branch that a new one grows from; empty: from nothing."""
    from_start: bool = False
    """Begin at ``start`` again even where the branch is there already, as after its proposal was merged."""
    endings: tuple[str, ...] = _OURS
    """Of the files in the folder that are ours; all others stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """How a writer waits: sleep takes seconds, chance gives a number in [0, 1)."""

    sleep: Callable[[float], None]
    chance: Callable[[], float]

    def before(self, attempt: int) -> None:
        """Wait before the next try; attempt counts those that failed, from 1."""
        self.sleep(min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE) * self.chance())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What was fetched."""

    commit: str = ""
    """The commit of the branch; empty where there is none yet."""
    files: Mapping[str, bytes]
    skipped: tuple[str, ...] = ()
    """A sentence for each file left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What was written."""

    commit: str
    tries: int
    """How many pushes it took."""
    skipped: tuple[str, ...] = ()
    """Files in the branch that are not baselines."""


def pull(git: Git, branch: Branch, folder: Path, pause: Pause) -> Pulled:
    """Bring the files of a branch into a folder; a branch that does not exist yet holds none.

    Raises:
        BrokenError: it cannot be fetched. OutputError, StorageError: the folder cannot be written.
    """
    found = _fetched(git, branch, pause)
    _write(found.files, folder)
    return found


def _fetched(git: Git, branch: Branch, pause: Pause) -> Pulled:
    attempt = 0
    while True:
        attempt += 1
        try:
            git.prepare()
            return _read(git, _tip(git, branch), branch)
        except GitError as error:
            if attempt == READS or _DENIED.search(error.said):
                raise BrokenError(
                    "the baselines cannot be fetched",
                    where=f"{git.url}, branch {branch.name}",
                    why=_last_words(error),
                    hint="Without them nothing can be compared, so nothing is judged. Add 'contents: read' under "
                    "'permissions:', or choose 'baseline-store: none'.",
                ) from error
            pause.before(attempt)


def push(git: Git, branch: Branch, change: Callable[[Path], str], pause: Pause) -> Pushed:
    """Let ``change`` alter the files in a folder, and push what it altered as one commit.

    change: is called with a folder that holds the branch's files, once for each try; returns the message of the commit.

    Raises:
        PublishError: the branch is protected, the token may not write, or others were faster again and again.
        Whatever ``change`` raises: then nothing was pushed.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            if attempt == 1:
                git.prepare()
            tip = _tip(git, branch)
            before = _read(git, tip, branch)
            with tempfile.TemporaryDirectory(dir=git.folder) as scratch:
                folder = Path(scratch, "files")
                folder.mkdir()
                _write(before.files, folder)
                message = change(folder)
                commit = _commit(
                    git, tip, branch.path, before.files, _files_in(folder, branch.endings), message, Path(scratch, "index")
                )
            git.run("push", "--porcelain", git.url, *_lease(git, branch), f"{commit}:refs/heads/{branch.name}")
        except GitError as error:
            if _worth_a_try(error, attempt):
                pause.before(attempt)
                continue
            raise _refusal(git, branch, error, attempt) from error
        return Pushed(commit=commit, tries=attempt, skipped=before.skipped)


def _tip(git: Git, branch: Branch) -> str:
    """The commit to build on; empty where there is none."""
    names = ([branch.start] if branch.from_start else [branch.name, branch.start]) if branch.start else [branch.name]
    for name in names:
        try:
            # The address stands where a remote's name would: nothing is configured, nothing is left behind.
            git.run("fetch", "--quiet", "--no-tags", "--depth=1", git.url, f"+refs/heads/{name}:refs/velro/tip")
        except GitError as error:
            if not _ABSENT.search(error.said):
                raise
        else:
            return git.text("rev-parse", "refs/velro/tip^{commit}")
    return ""


def _worth_a_try(error: GitError, attempt: int) -> bool:
    """Whether a push that failed may succeed later: another writer was faster, or the network failed for a moment."""
    if _PROTECTED.search(error.said) or _IN_THE_WAY.search(error.said):
        return False
    return (attempt < TRIES and _FASTER.search(error.said) is not None) or (
        attempt <= READS and _PASSING.search(error.said) is not None
    )


def _lease(git: Git, branch: Branch) -> tuple[str, ...]:
    """A branch without the history of the one that is there replaces it, if that is still what we saw."""
    if not branch.from_start:
        return ()
    found = git.text("ls-remote", git.url, f"refs/heads/{branch.name}")
    return (f"--force-with-lease=refs/heads/{branch.name}:{found.split()[0] if found else ''}",)


def _read(git: Git, tip: str, branch: Branch) -> Pulled:
    """The files below a path, without those that cannot be baselines: links, other kinds, large ones, unexpected names."""
    if not tip:
        return Pulled(files={})
    path = branch.path
    listed = git.run("ls-tree", "-r", "-z", "--long", tip, "--", f"{path}/").decode("utf-8", "surrogateescape")
    wanted: dict[str, str] = {}
    skipped: list[str] = []
    for entry in filter(None, listed.split("\0")):
        facts, name = entry.split("\t", 1)
        mode, kind, blob, size = facts.split()
        below = name.removeprefix(f"{path}/")
        reason = _unfit(mode, kind, size, below)
        if reason:
            shown = below.encode("utf-8", "backslashreplace").decode("ascii", "replace")
            skipped.append(f"{shown} is not used: {reason}")
        elif below.endswith(branch.endings):
            wanted[below] = blob
    return Pulled(commit=tip, files=_contents(git, wanted), skipped=tuple(skipped))


def _contents(git: Git, blobs: Mapping[str, str]) -> dict[str, bytes]:
    """The contents of blobs by their names, in one call: each comes as a line that ends in its size, itself, and a line end."""
    packed = git.run("cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs.values()).encode())
    found: dict[str, bytes] = {}
    place = 0
    for name in blobs:
        line_end = packed.index(b"\n", place)
        size = int(packed[place:line_end].rsplit(b" ", 1)[1])
        found[name] = packed[line_end + 1 : line_end + 1 + size]
        place = line_end + 1 + size + 1
    return found


def _unfit(mode: str, kind: str, size: str, name: str) -> str:
    if kind != "blob" or mode not in ("100644", "100755"):
        return "it is not a regular file"
    if any(part in ("..", ".", ".git", "") for part in PurePosixPath(name).parts) or not name.isprintable():
        return "its name is not that of a baseline"
    if size.isdigit() and int(size) > LARGEST:
        return f"it has more than {format_count(LARGEST)} bytes"
    return ""


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise unwritable(path, error) from error


def _files_in(folder: Path, endings: tuple[str, ...]) -> dict[str, bytes]:
    ours = (path for path in sorted(folder.rglob("*")) if path.name.endswith(endings) and path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in ours}


def _commit(
    git: Git, tip: str, path: str, before: Mapping[str, bytes], after: Mapping[str, bytes], message: str, index: Path
) -> str:
    """A commit on the tip that holds what changed; every other file of the branch stays as it is."""
    git.run("read-tree", tip or "--empty", index=index)
    lines = [f"0 {_NO_FILE}\t{path}/{name}\0" for name in before.keys() - after.keys()]
    for name, content in after.items():
        if before.get(name) != content:
            blob = git.text("hash-object", "-w", "--stdin", given=content)
            lines.append(f"100644 {blob}\t{path}/{name}\0")
    git.run("update-index", "-z", "--index-info", given="".join(sorted(lines)).encode(), index=index)
    tree = git.text("write-tree", index=index)
    return git.text("commit-tree", tree, *(("-p", tip) if tip else ()), given=message.encode())


def _refusal(git: Git, branch: Branch, error: GitError, attempt: int) -> PublishError:
    where, why = f"{git.url}, branch {branch.name}", _last_words(error)
    if found := _IN_THE_WAY.search(error.said):
        return PublishError(
            f"the baseline cannot be pushed: the branch {found[1] or 'of another name'} is in the way of {branch.name}",
            where=where,
            why=why,
            hint="git keeps branches as files and folders, so none can be named like a folder of others: remove that branch, "
            "or choose another name by the input baseline-branch.",
        )
    if _PROTECTED.search(error.said):
        return PublishError(
            f"the baseline cannot be pushed: {branch.name} is protected",
            where=where,
            why=why,
            hint="Choose 'baseline-store: branch' (a branch of its own, unprotected) or 'pull-request'; "
            "or let github-actions bypass the rule.",
        )
    if _DENIED.search(error.said):
        return PublishError(
            "the baseline cannot be pushed: the token may not write",
            where=where,
            why=why,
            hint="Add 'contents: write' under 'permissions:' of the job that refreshes baselines, and of no other.",
        )
    if _FASTER.search(error.said):
        return PublishError(
            f"the baseline could not be pushed in {attempt} tries",
            where=where,
            why="others wrote at the same time, or a rule refuses every push",
            hint="Store it later with 'velro-gate baseline push'.",
        )
    return PublishError(
        "the baseline cannot be pushed", where=where, why=why, hint="Fix that, then run 'velro-gate baseline push'."
    )


def _last_words(error: GitError) -> str:
    """The most informative lines, on one line: the server's messages, else git's own last ones."""
    lines = [" ".join(line.removeprefix("remote:").split()) for line in error.said.splitlines()]
    informative = [line for line in lines if re.search(r"GH0\d\d|error:|fatal:", line)]
    return "; ".join(dict.fromkeys(filter(None, informative or lines[-2:])))[:500]
