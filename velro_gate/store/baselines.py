"""Accepted runs as files: ``ROOT/SCENARIO/ENVIRONMENT FINGERPRINT/TIME-REVISION.json``, one immutable file a run.

A file is created under a name of its own and never changed, so two merges at once cannot overwrite each other's. Whether a
baseline is comparable is read from its content, never from its place; the folders only keep apart what is listed and pruned.

A run that may not become a baseline is kept in the same way, marked as quarantined: everybody can see it, and nothing is
compared with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from velro_gate.errors import BaselineError, RecordError, UsageError
from velro_gate.model.facts.unused import UnusedRuns, WhyUnused
from velro_gate.model.record import Plan, Release, RunRecord, comparable, fingerprint
from velro_gate.model.run import Environment
from velro_gate.store.codec import CodecError, encode_record
from velro_gate.store.files import create_whole, unwritable, write_whole
from velro_gate.store.pins import pinned_as
from velro_gate.store.records import read_record
from velro_gate.units import format_whole

DEFAULT_FOLDER = Path("baselines")
"""At the top of the repository that the scenario is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """The comparable accepted runs, oldest first, and what was not used."""

    accepted: tuple[RunRecord, ...] = ()
    other_profiles: tuple[RunRecord, ...] = ()
    """Accepted runs of the same scenario in the same environment under another profile, oldest first: they show the noise of
    their phases.
    """
    skipped: tuple[UnusedRuns, ...] = ()
    release: Release | None = None
    """The newest pinned one of them with its name; None where none is pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Every stored run with its file, oldest first within a scenario and environment, quarantined ones too; and the files that
    are not runs.
    """

    found: tuple[tuple[Path, RunRecord], ...] = ()
    skipped: tuple[str, ...] = ()
    pins: Mapping[Path, str] = field(default_factory=dict)
    """The file of each pinned baseline, and the name of its release."""


def load_baselines(root: Path, *, plan: Plan, environment: Environment) -> Baselines:
    """The stored runs that a run of this plan in this environment can be compared with.

    Raises:
        BaselineError: the folder cannot be read, or is a file.
    """
    listing = list_baselines(root, scenario=plan.scenario)
    accepted: list[RunRecord] = []
    profiles: list[RunRecord] = []
    releases: list[Release] = []
    others: Counter[tuple[WhyUnused, str]] = Counter()
    for path, record in listing.found:
        reason = _not_comparable(record, plan, environment)
        if reason is not None:
            others[reason] += 1
            if record.plan.profile != plan.profile and _not_comparable(record, record.plan, environment) is None:
                profiles.append(record)
            continue
        accepted.append(record)
        if path in listing.pins:
            releases.append(Release(name=listing.pins[path], record=record))
    # What somebody has changed first: runs of another profile are expected.
    ordered = sorted(others.items(), key=lambda pair: (pair[0][0] is WhyUnused.PROFILE, -pair[1]))
    unreadable = [UnusedRuns(why=WhyUnused.UNREADABLE, detail=sentence) for sentence in listing.skipped]
    counted = [UnusedRuns(why=why, runs=count, detail=detail) for (why, detail), count in ordered]
    return Baselines(
        accepted=tuple(sorted(accepted, key=_age)),
        other_profiles=tuple(sorted(profiles, key=_age)),
        skipped=(*unreadable, *counted),
        release=max(releases, key=lambda release: _age(release.record), default=None),
    )


def add_baseline(root: Path, record: RunRecord) -> Path:
    """Store an accepted run as a baseline and return its file. If it was quarantined before, it no longer is.

    Raises:
        BaselineError: the run is interrupted or incomplete, or is stored already. OutputError: no permission.
        StorageError: the disk is full.
    """
    if not record.phases or not record.complete:
        missing = [phase.name for phase in record.plan.phases if not _ran(record, phase.name)]
        raise BaselineError(
            f"run {record.id} cannot become a baseline",
            why=f"it is incomplete: {', '.join(missing)}" if missing else "it was interrupted",
            hint="Only a run of the whole plan can be compared with: run it again to its end.",
        )
    path, text = _kept(root, replace(record, quarantined=""))
    # Under the same name: what was quarantined is now accepted, and must not be there twice.
    if path is not None and read_record(path).quarantined:
        write_whole(path, text)
    elif path is not None:
        raise BaselineError(f"run {record.id} is a baseline already", where=str(path), hint="There is nothing left to do.")
    return path or _create(root, record, text)


def quarantine(root: Path, record: RunRecord, reason: str) -> Path:
    """Keep a run that may not become a baseline, marked with the reason, and return its file; once is enough.

    Raises:
        BaselineError: the run is a baseline already. OutputError: no permission. StorageError: the disk is full.
    """
    kept = replace(record, quarantined=reason)
    path, text = _kept(root, kept)
    if path is None:
        return _create(root, kept, text)
    if not read_record(path).quarantined:
        raise BaselineError(f"run {record.id} is a baseline already", where=str(path), why=f"now it would not be: {reason}")
    return path


def _kept(root: Path, record: RunRecord) -> tuple[Path | None, str]:
    """The file that holds this run already, if any, and the text that would hold it now."""
    try:
        text = encode_record(record, compact=True)
    except CodecError as error:
        raise BaselineError(f"run {record.id} cannot become a baseline", why=str(error)) from error
    return next((path for path in _names(root, record) if _holds(path, record.id)), None), text


def _create(root: Path, record: RunRecord, text: str) -> Path:
    for path in _names(root, record):
        try:
            create_whole(path, text)
        except FileExistsError:
            continue
        return path
    raise BaselineError(
        f"run {record.id} cannot be stored", where=str(root), why="other files have both names that it could have"
    )


def _names(root: Path, record: RunRecord) -> tuple[Path, Path]:
    """Two runs of one build can start in the same second; their ids distinguish them."""
    folder = root / _clean(record.plan.scenario) / fingerprint(record.environment)
    time = _clean(record.started_at.replace("-", "").replace(":", ""))
    name = f"{time}-{_clean(record.revision.sha[:7] or record.id)}"
    return folder / f"{name}.json", folder / f"{name}-{_clean(record.id)}.json"


def list_baselines(root: Path, *, scenario: str | None = None) -> Listing:
    """Every baseline under ``root`` (of one scenario only, if named), and a sentence for each file that is not a baseline.

    Raises:
        BaselineError: the folder cannot be read, or is a file.
    """
    require_folder(root)
    found: list[tuple[Path, RunRecord]] = []
    skipped: list[str] = []
    for path in _files(root if scenario is None else root / _clean(scenario)):
        if path.exists() and not path.is_file():
            # Reading a pipe would wait for ever.
            skipped.append(f"{path.relative_to(root)} is not used: it is not a regular file")
            continue
        try:
            found.append((path, read_record(path)))
        except RecordError as error:
            skipped.append(f"{path.relative_to(root)} is not used: {error.why}")
    found.sort(key=lambda pair: (pair[0].parent, pair[1].started_at, pair[1].id))
    pins = {path: pin for path, _ in found if (pin := pinned_as(path)) is not None}
    return Listing(found=tuple(found), skipped=tuple(skipped), pins=pins)


def remove_baseline(file: Path) -> RunRecord | None:
    """Remove one stored run, whether it is used or quarantined, and return it; None where it could not be read any more.

    Raises:
        BaselineError: it is pinned, or is not a stored run. OutputError: it cannot be removed.
    """
    if not file.is_file() or file.suffix != ".json":
        hint = "'velro-gate baseline list' shows the file of each."
        raise BaselineError("there is no such baseline", where=str(file), hint=hint)
    if pinned_as(file) is not None:
        hint = "Unpin it first: 'velro-gate baseline unpin'."
        raise BaselineError("a pinned baseline is not removed", where=str(file), hint=hint)
    try:
        record = read_record(file)
    except RecordError:
        record = None
    try:
        file.unlink()
    except OSError as error:
        raise unwritable(file, error) from error
    return record


def prune_baselines(root: Path, keep: int) -> tuple[Path, ...]:
    """Remove all but the newest ``keep`` baselines of each comparable group; return the removed files, oldest first.

    The same number of quarantined runs is also kept, and every pinned baseline. Files that are not baselines stay: they are for
    a person to look at.

    Raises:
        UsageError: ``keep`` is less than one. OutputError: a file cannot be removed.
    """
    if keep < 1:
        raise UsageError(f"cannot keep {keep} baselines", hint="Keep at least one; five or more are needed to compare well.")
    groups: dict[tuple[str, ...], list[Path]] = {}
    listing = list_baselines(root)
    for path, record in listing.found:
        plan = record.plan
        place = (plan.scenario, plan.digest, plan.profile, fingerprint(record.environment))
        key = (*place, "quarantined" if record.quarantined else "")
        groups.setdefault(key, []).append(path)
    removed = [path for paths in groups.values() for path in paths[:-keep] if path not in listing.pins]
    for path in removed:
        try:
            path.unlink()
        except OSError as error:
            raise unwritable(path, error) from error
    return tuple(removed)


def find_baselines(root: Path, near: Path) -> Path:
    """The folder of the stored baselines: ``root`` where it is another than the usual one or is there; else that of the
    repository which holds ``near``, a scenario or a run, from whatever folder the command is started.
    """
    if root != DEFAULT_FOLDER or root.exists():
        return root
    start = near.resolve()
    for folder in (start, *start.parents) if start.is_dir() else start.parents:
        if (folder / root).is_dir() or (folder / ".git").exists():
            return folder / root
    return root


def find_stored(file: Path) -> Path:
    """One stored run by the path that was given: as it stands, else below the folder that holds the usual one."""
    if file.exists() or file.is_absolute() or file.parts[:1] != DEFAULT_FOLDER.parts:
        return file
    return find_baselines(DEFAULT_FOLDER, Path()).parent / file


def require_folder(root: Path) -> None:
    """Refuse a place for baselines that cannot be one; a folder that does not exist yet is fine: it holds none.

    Raises:
        BaselineError: it is something else than a folder.
    """
    if root.exists() and not root.is_dir():
        raise BaselineError(
            "the baselines cannot be read",
            where=str(root),
            why="it is a file, not a folder",
            hint="Name the folder that holds the baselines with --baselines.",
        )


def _files(folder: Path) -> Iterator[Path]:
    """Every ``*.json`` below a folder. Links to folders are not followed: one that leads back would list a file many times,
    and prune would then remove it as a surplus of itself.
    """
    try:
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise BaselineError(
            "the baselines cannot be read",
            where=str(folder),
            why=error.strerror,
            hint="Give this user permission to read the folder, or name another one with --baselines.",
        ) from error
    for entry in entries:
        if entry.is_dir():
            if not entry.is_symlink():
                yield from _files(entry)
        elif entry.suffix == ".json":
            yield entry


def _not_comparable(record: RunRecord, plan: Plan, environment: Environment) -> tuple[WhyUnused, str] | None:
    """Why a stored run cannot be compared with, and the detail of it; None when it can."""
    theirs = record.plan
    if theirs.scenario != plan.scenario:
        return WhyUnused.SCENARIO, theirs.scenario
    if theirs.profile != plan.profile:
        return WhyUnused.PROFILE, theirs.profile
    if theirs.digest != plan.digest:
        return WhyUnused.PLAN, _changed(theirs, plan)
    if not comparable(record.environment, environment):
        return WhyUnused.ENVIRONMENT, _differences(record.environment, environment)
    if record.quarantined:
        return WhyUnused.QUARANTINED, ""
    if not record.complete:
        return WhyUnused.INCOMPLETE, ""
    return None


def _changed(theirs: Plan, ours: Plan) -> str:
    """What has become of the plan since, as far as names show."""
    named = (
        ("step", theirs.steps, ours.steps),
        ("phase", [phase.name for phase in theirs.phases], [phase.name for phase in ours.phases]),
    )
    said = []
    for kind, before, now in named:
        gone, new = [name for name in before if name not in now], [name for name in now if name not in before]
        said += [f"{kind} {', '.join(gone)} is gone"] * bool(gone) + [f"{kind} {', '.join(new)} is new"] * bool(new)
    return "; ".join([*said, f"digest {theirs.digest[:7]}, now {ours.digest[:7]}"])


def _differences(theirs: Environment, ours: Environment) -> str:
    """Which fields of the environment differ, with both values."""
    before, now = _fields(theirs), _fields(ours)
    return "; ".join(
        f"{name} was {before.get(name, 'not given')}, is {now.get(name, 'not given')}"
        for name in sorted(before.keys() | now.keys(), key=[*now, *before].index)
        if before.get(name) != now.get(name)
    )


def _fields(environment: Environment) -> Mapping[str, str]:
    """The fields of an environment as its fingerprint sees them."""
    return {
        "runner": environment.runner,
        "CPU": environment.cpu_model,
        "cores": str(environment.cores),
        "memory": f"{format_whole(environment.memory / 2**30)} GiB",
        "kernel": environment.kernel,
        "Python": environment.python,
        "velro-gate": environment.tool,
        **environment.extra,
    }


def _ran(record: RunRecord, name: str) -> bool:
    phase = record.phase(name)
    return phase is not None and phase.complete


def _age(record: RunRecord) -> tuple[str, str]:
    return record.started_at, record.id


def _holds(path: Path, id_: str) -> bool:
    try:
        return read_record(path).id == id_
    except RecordError:
        # A damaged file holds its name, but no run.
        return False


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "unnamed"
