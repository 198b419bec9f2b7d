"""What a workflow asks of the action: the variables VELRO_*, and over them what a person filled in for a dispatch. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from velro_gate.cluster.options import ClusterOptions, cluster_options
from velro_gate.errors import UsageError
from velro_gate.gate.action.store_kind import StoreKind
from velro_gate.github.channels.comment import DEFAULT_AUTHOR
from velro_gate.github.channels.status import DEFAULT_CONTEXT
from velro_gate.model.scenario import SUSPICIOUS, BlockInconclusive
from velro_gate.report.alerts.messages import MessageFormat
from velro_gate.units import parse_bytes, parse_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The action's inputs; None or empty: not given. docs/github.md lists the variables."""

    mode: str = "auto"
    scenario: Path | None = None
    profile: str | None = None
    phases: tuple[str, ...] = ()
    url: str | None = None
    shards: str = "auto"
    cluster: ClusterOptions | None = None
    runner: str | None = None
    calibration: bool = True
    output: Path = Path("velro-results")
    waivers: Path = Path("velro-waivers.yaml")
    block_inconclusive: BlockInconclusive | None = None
    store: StoreKind = StoreKind.BRANCH
    store_branch: str = "velro-baselines"
    store_path: str = "baselines"
    keep: int = 30
    accept_change: bool = False
    comment: bool = True
    author: str = DEFAULT_AUTHOR
    status: bool = True
    context: str = DEFAULT_CONTEXT
    status_jobs: int = 1
    pull_request: int | None = None
    artifact_url: str = ""
    artifact: str = "velro-fork-report"
    fork_environment: str = ""
    duet: bool = False
    second_job: bool = False
    first_artifact: str = "velro-second-job"
    build_command: str = ""
    start_command: str = ""
    service_user: str = ""
    health_path: str | None = None
    build_minutes: int = 10
    pairs: int | None = None
    block_seconds: int | None = None
    warm_up_seconds: int | None = None
    max_minutes: int = 20
    selftest_minutes: int = 10
    pages: bool = False
    pages_branch: str = "gh-pages"
    pages_path: str = "velro-gate"
    pages_url: str = ""
    alerts: bool = False
    alert_merges: int = 20
    webhook_format: MessageFormat | None = None
    template_dir: str = ""

    def __post_init__(self) -> None:
        if self.start_command:
            return
        for name, given, use in (
            ("duet", self.duet, "start base and head build"),
            ("build-command", bool(self.build_command), "start what was built"),
            ("service-user", bool(self.service_user), "start the service as that user"),
        ):
            if given:
                raise UsageError(
                    f"the input {name} needs the input start-command",
                    where="VELRO_START_COMMAND",
                    why=f"without it there is no way to {use}",
                    hint="Give a shell command that serves on the port in PORT and stays in the foreground.",
                )


CLUSTER_WAIT = "2 min"
LEAST_BLOCK_SECONDS = 2
"""As the option --block of the duet command has it: shorter blocks hold a moment, not a build."""

CHOSEN_BY_PEOPLE = frozenset({"scenario", "profile", "phases", "url", "pull-request"})
"""The inputs of a dispatch that stand over those of the workflow; the others are the workflow's alone."""


def read_inputs(environ: Mapping[str, str], dispatched: Mapping[str, str] | None = None) -> Inputs:
    """The inputs from the environment. dispatched: what a person filled in.

    Raises:
        UsageError: a value that cannot be, with the name of its input.
    """
    chosen = {name: value for name, value in (dispatched or {}).items() if name in CHOSEN_BY_PEOPLE}

    def of(name: str) -> str:
        """An input by its name, else by its environment variable."""
        return (chosen.get(name) or environ.get(f"VELRO_{name.upper().replace('-', '_')}", "")).strip()

    # GitHub passes an input that nobody gave as an empty text: then the default counts.
    blank = Inputs()
    return Inputs(
        mode=of("mode") or blank.mode,
        scenario=Path(of("scenario")) if of("scenario") else None,
        profile=of("profile") or None,
        phases=tuple(filter(None, (part.strip() for part in re.split(r"[,\n]", of("phases"))))),
        url=of("url") or None,
        shards=of("shards") or blank.shards,
        cluster=_cluster(
            of("cluster"),
            _count("cluster-workers", of("cluster-workers")),
            of("cluster-wait"),
            of("cluster-listen"),
            _size("cluster-raw", of("cluster-raw")),
        ),
        runner=of("runner") or None,
        calibration=_flag("calibration", of("calibration"), blank.calibration),
        output=Path(of("output")) if of("output") else blank.output,
        waivers=Path(of("waivers")) if of("waivers") else blank.waivers,
        block_inconclusive=_blocking(of("block-inconclusive"), of("allow-inconclusive")),
        store=_store(of("store")),
        store_branch=_branch("store-branch", of("store-branch") or blank.store_branch),
        store_path=_path("store-path", of("store-path") or blank.store_path),
        keep=_count("keep", of("keep")) or blank.keep,
        accept_change=_flag("accept-change", of("accept-change"), blank.accept_change),
        comment=_flag("comment", of("comment"), blank.comment),
        author=of("comment-author") or blank.author,
        status=_flag("status", of("status"), blank.status),
        context=of("status-context") or blank.context,
        status_jobs=_count("status-jobs", of("status-jobs")) or blank.status_jobs,
        pull_request=_count("pull-request", of("pull-request")),
        artifact_url=of("artifact-url"),
        artifact=of("artifact") or blank.artifact,
        fork_environment=of("fork-environment"),
        duet=_flag("duet", of("duet"), blank.duet),
        second_job=_flag("second-job", of("second-job"), blank.second_job),
        first_artifact=of("first-artifact") or blank.first_artifact,
        build_command=of("build-command"),
        start_command=of("start-command"),
        service_user=_user(of("service-user")),
        health_path=_health(of("health-path")),
        build_minutes=_count("build-minutes", of("build-minutes")) or blank.build_minutes,
        pairs=_count("pairs", of("pairs")),
        block_seconds=_block(_count("block-seconds", of("block-seconds"))),
        warm_up_seconds=_count("warm-up-seconds", of("warm-up-seconds")),
        max_minutes=_count("max-minutes", of("max-minutes")) or blank.max_minutes,
        selftest_minutes=_minutes("selftest-minutes", of("selftest-minutes"), blank.selftest_minutes),
        pages=_flag("pages", of("pages"), blank.pages),
        pages_branch=_branch("pages-branch", of("pages-branch") or blank.pages_branch),
        pages_path=_path("pages-path", of("pages-path") or blank.pages_path),
        pages_url=of("pages-url"),
        alerts=_flag("alerts", of("alerts"), blank.alerts),
        alert_merges=_count("alert-merges", of("alert-merges")) or blank.alert_merges,
        webhook_format=_message_format(of("webhook-format")),
        template_dir=_folder("template-dir", of("template-dir")),
    )


def _wrong(name: str, value: str, hint: str) -> UsageError:
    return UsageError(f"the input {name} cannot be {value!r}", where=f"VELRO_{name.upper().replace('-', '_')}", hint=hint)


def _flag(name: str, text: str, default: bool) -> bool:
    match text.lower():
        case "":
            return default
        case "true":
            return True
        case "false":
            return False
    raise _wrong(name, text, "Give true or false.")


_BLOCKING: Mapping[str, BlockInconclusive | None] = {"": None, SUSPICIOUS: SUSPICIOUS, "true": True, "false": False}


def _blocking(text: str, allow: str) -> BlockInconclusive | None:
    """Which inconclusive runs fail the job; None: as the scenario's policy has it."""
    if text.lower() not in _BLOCKING:
        raise _wrong("block-inconclusive", text, f"Give {SUSPICIOUS}, true or false.")
    found = _BLOCKING[text.lower()]
    if not _flag("allow-inconclusive", allow, False):
        return found
    if found not in (None, False):
        raise _wrong("block-inconclusive", text, "The input allow-inconclusive says the opposite: give one of them.")
    return False


def _cluster(text: str, workers: int | None, wait: str, listen: str, raw: int | None) -> ClusterOptions | None:
    """What sends the load; None: this machine."""
    try:
        seconds = parse_seconds(wait or CLUSTER_WAIT)
    except ValueError:
        raise _wrong("cluster-wait", wait, "Give a duration, such as 2 min.") from None
    try:
        return cluster_options(text or None, workers, seconds, listen or None, raw)
    except UsageError as error:
        raise UsageError(error.what, where="VELRO_CLUSTER", why=error.why, hint=error.hint) from error


def _store(text: str) -> StoreKind:
    try:
        return StoreKind(text or StoreKind.BRANCH.value)
    except ValueError:
        raise _wrong("store", text, f"Choose one of: {', '.join(kind.value for kind in StoreKind)}.") from None


def _message_format(text: str) -> MessageFormat | None:
    """None: by the address."""
    try:
        return MessageFormat(text.lower()) if text else None
    except ValueError:
        raise _wrong("webhook-format", text, f"Choose one of: {', '.join(kind.value for kind in MessageFormat)}.") from None


def _count(name: str, text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and 0 < int(text) < 10**9:
        return int(text)
    raise _wrong(name, text, "Give a whole number above 0.")


def _size(name: str, text: str) -> int | None:
    """Bytes; 0 is a size, too."""
    try:
        size = parse_bytes(text) if text else None
    except ValueError:
        size = -1
    if size is not None and size < 0:
        raise _wrong(name, text, "Give an amount of memory, such as 512 MiB.")
    return size


def _minutes(name: str, text: str, default: int) -> int:
    """A time that may be none at all."""
    return 0 if text == "0" else _count(name, text) or default


def _block(seconds: int | None) -> int | None:
    if seconds is None or seconds >= LEAST_BLOCK_SECONDS:
        return seconds
    raise _wrong("block-seconds", str(seconds), f"Give {LEAST_BLOCK_SECONDS} seconds at least; five or more decide well.")


def _health(text: str) -> str | None:
    if not text or text.startswith("/"):
        return text or None
    raise _wrong("health-path", text, "Give a path that begins with /, such as /health.")


def _user(text: str) -> str:
    if not text or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", text):
        return text
    raise _wrong("service-user", text, "Give the name of a user of the runner, such as nobody.")


def _branch(name: str, text: str) -> str:
    """A branch name that git takes and that cannot be an option or another kind of reference."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", text) and ".." not in text and not text.endswith(("/", ".lock", ".")):
        return text
    raise _wrong(name, text, "Give the plain name of a branch, such as velro-baselines.")


def _path(name: str, text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", text) and ".." not in text:
        return text.strip("/")
    raise _wrong(name, text, "Give a folder below the top of the repository, such as baselines.")


def _folder(name: str, text: str) -> str:
    """A folder of the repository; empty: none."""
    found = text.removeprefix("./").rstrip("/")
    if not text or (re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_./ -]*", found) and ".." not in found and found != "."):
        return found
    raise _wrong(name, text, "Give a folder below the top of the repository, such as .github/velro-templates.")
