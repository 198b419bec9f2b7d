"""Where a run is made, and of which build.

Two runs are compared only when their environments are equal, so the runner's label has to name a kind of machine and not one
boot of it. It is, in this order: the label given, which names a pool of like machines, whose kernels may differ; for machines
that the CI provider hands out again for each job, their kind (image and architecture), since their names count jobs;
RUNNER_NAME, the name of a self-hosted runner; the host's name.
"""

from __future__ import annotations

import os
import platform
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

from velro_gate import __version__
from velro_gate.model.record import POOL, Revision
from velro_gate.model.run import Environment
from velro_gate.monitor.checkout import ask
from velro_gate.units import format_number


def environment(
    runner: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    proc: Path = Path("/proc"),
    cgroup: Path = Path("/sys/fs/cgroup"),
) -> Environment:
    """This machine, as far as it decides how fast things are."""
    variables = os.environ if environ is None else environ
    quota, limit = cpu_quota(cgroup), _memory_limit(cgroup)
    memory = int(psutil.virtual_memory().total)
    return Environment(
        runner=runner_label(runner, variables),
        cpu_model=cpu_model(proc),
        cores=_cores(),
        memory=memory if limit is None else min(memory, limit),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        tool=__version__,
        extra={**({} if quota is None else {"cpu_quota": format_number(quota)}), **({POOL: runner} if runner else {})},
    )


def runner_label(given: str | None, environ: Mapping[str, str]) -> str:
    """The label of the kind of machine; see the module's docstring."""
    if given:
        return given
    # Hosted runners have another name each time: by their image and architecture they are comparable at all.
    if environ.get("RUNNER_ENVIRONMENT") == "github-hosted":
        kind = [environ.get("ImageOS") or environ.get("RUNNER_OS", ""), environ.get("RUNNER_ARCH", "")]
        return "-".join(["github-hosted", *(word.lower() for word in kind if word)])
    return environ.get("RUNNER_NAME") or socket.gethostname()


def cpu_model(proc: Path = Path("/proc")) -> str:
    """The CPU's name; where the kernel gives none, as on many ARM machines, its architecture and part number."""
    try:
        text = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    named = re.search(r"^(?:model name|Model|cpu model|cpu)\s*:\s*(\S.*)$", text, re.MULTILINE)
    if named:
        return " ".join(named[1].split())
    parts = [re.search(rf"^CPU {word}\s*:\s*(\S+)", text, re.MULTILINE) for word in ("implementer", "part")]
    return " ".join([platform.machine(), *(part[1] for part in parts if part)])


def cpu_quota(cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores that the control group's quota allows; None without a quota."""
    words = _words(cgroup / "cpu.max")
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None


def revision(cwd: Path | str = ".", *, environ: Mapping[str, str] | None = None) -> Revision:
    """Which build is measured: the commit that is checked out in ``cwd``; where git knows none, what the CI job says.

    A job may check out another commit than its event is about, so its word counts only where there is no checkout. The branch
    is the job's, if the commit is: a pull request's is its head branch, not the reference of its merge. label: a tag or a short
    commit, with ``-dirty`` when files were changed since. Empty strings where nobody knows.
    """
    variables = os.environ if environ is None else environ
    named = variables.get("GITHUB_SHA", "")
    sha, _ = ask(cwd, "rev-parse", "--verify", "HEAD^{commit}")
    branch = ""
    # The job's words are about the commit of its event, and true of the checkout only if that is it.
    if named and sha in ("", named):
        branch = variables.get("GITHUB_HEAD_REF", "") or re.sub(r"^refs/(?:heads|tags)/", "", variables.get("GITHUB_REF", ""))
    if not sha:
        return Revision(sha=named, branch=branch, label=named[:12])
    if not branch:
        branch, _ = ask(cwd, "rev-parse", "--abbrev-ref", "HEAD")
    return Revision(sha=sha, branch="" if branch == "HEAD" else branch, label=_label(cwd))


def _label(cwd: Path | str) -> str:
    """A tag or a short commit. Changes are read from git's status, because ``describe --dirty`` would rewrite the index."""
    named, _ = ask(cwd, "describe", "--always", "--tags")
    changed = named and ask(cwd, "status", "--porcelain", "--untracked-files=no")[0]
    return f"{named}-dirty" if changed else named


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_limit(cgroup: Path) -> int | None:
    words = _words(cgroup / "memory.max")
    return int(words[0]) if words and words[0].isdigit() else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
