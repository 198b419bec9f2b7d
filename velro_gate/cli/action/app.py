"""``velro-gate action`` and its parts: build the real clients for one job on GitHub."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from velro_gate.cli.action.apart import Apart
from velro_gate.cli.output import people, put
from velro_gate.errors import UsageError
from velro_gate.gate.action.aim import aimed as aimed_outlets
from velro_gate.gate.action.aim import part_of, require_head
from velro_gate.gate.action.alerting.webhook import Webhook
from velro_gate.gate.action.inputs import Inputs, read_inputs
from velro_gate.gate.action.job import ActionJob, run_job
from velro_gate.gate.action.pages import Pages, pages_url
from velro_gate.gate.action.publish import Outlets, publish, verdict_origin
from velro_gate.gate.action.store_kind import StoreKind
from velro_gate.gate.action.stores import Acceptance, Store, store_for
from velro_gate.gate.action.templates import use_own_templates
from velro_gate.gate.action.token import require_token
from velro_gate.gate.duet.pull_request import ProposedChange
from velro_gate.gate.judge.push import PushTarget, push_targets
from velro_gate.gate.judge.verdict import judge_kept, kept_further, reread_run, under_policy
from velro_gate.gate.measure.results import Results
from velro_gate.github.api import Api
from velro_gate.github.clock import Clock
from velro_gate.github.event import Event, Mode, read_event
from velro_gate.github.job_files import guarded
from velro_gate.github.network import readable_no_proxy
from velro_gate.hardening import PUSHED, RUNNER_FILES, TOKEN, WEBHOOK, harden, withheld
from velro_gate.monitor.checkout import checkout
from velro_gate.secrecy import hide
from velro_gate.store.baselines import load_baselines
from velro_gate.store.branch import Pause
from velro_gate.store.git import Git

LARGEST_PAYLOAD = 30_000_000
"""Bytes of an event file; GitHub's own payloads end at 25 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobWorld:
    """What a job has to do with: its event and inputs, and real clients."""

    event: Event
    inputs: Inputs
    outlets: Outlets
    store: Store
    baselines: Path
    """A temporary folder for the stored baselines."""
    git: Git


def run_action() -> int:
    """The whole of one job."""
    with ExitStack() as job:
        here = job.enter_context(_world())
        scratch = here.baselines.parent
        change = ProposedChange(event=here.event, scratch=scratch, git=lambda folder: replace(here.git, folder=folder))
        apart = Apart(change=change, inputs=here.inputs, job=job, templates=_own_templates(here))
        return run_job(
            ActionJob(
                event=here.event,
                inputs=here.inputs,
                outlets=here.outlets,
                store=here.store,
                baselines=here.baselines,
                environ=os.environ,
                measure=apart.measure,
                confirm=apart.confirm,
                duet=apart.measure_change,
                selftest=apart.selftest,
                webhook=_webhook(here.inputs),
                pages=_pages(here),
                pushed=_pushed(),
            )
        )


def _pages(here: _JobWorld) -> Pages | None:
    """Where the trend of main is published; None: nowhere."""
    if not here.inputs.pages:
        return None
    clock = Clock()
    pause = Pause(sleep=clock.sleep, chance=clock.chance)
    return Pages(git=here.git, pause=pause, branch=here.inputs.pages_branch, path=here.inputs.pages_path)


def _webhook(inputs: Inputs) -> Webhook | None:
    """Where alerts are sent; None: nowhere.

    Raises:
        UsageError: the address cannot be one.
    """
    url, key = (withheld().get(name, "").strip() for name in WEBHOOK)
    hide([url, key], certain=True)
    return Webhook(url=url, key=key, format=inputs.webhook_format) if url else None


def _pushed() -> tuple[PushTarget, ...]:
    """Where the figures of main are pushed.

    Raises:
        UsageError: an address or a token cannot be one.
    """
    push, _, remote, _ = (withheld().get(name, "").strip() for name in PUSHED)
    hide([url for url in (push, remote) if url], certain=True)
    return push_targets(push or None, remote or None, withheld())


def _own_templates(here: _JobWorld) -> Mapping[str, str]:
    """Templates of the repository's own, used from now on, by file name."""
    folder = "" if here.event.mode is Mode.NONE else here.inputs.template_dir
    return use_own_templates(folder, here.event.base_sha or here.event.default_branch, here.outlets.api, here.outlets.say)


def run_publish(folder: Path) -> int:
    """Publish the verdict of a kept run (again)."""
    with _world() as here:
        event, inputs, baselines = here.event, here.inputs, here.baselines
        require_token(event, inputs, here.outlets)
        _own_templates(here)
        here.store.bring(baselines)
        kept, verdict = judge_kept(folder, baselines, waivers=inputs.waivers)
        record = under_policy(kept, kept.plan.policy, inputs.block_inconclusive)
        if record.revision.sha not in ("", event.measured_sha, event.head_sha):
            raise UsageError(
                f"the kept run is of {record.revision.sha[:12]}, and this job is about {event.head_sha[:12]}",
                where=str(folder),
                hint="Publish it in a job of the commit that it measured.",
            )
        require_head(event)
        aimed = aimed_outlets(event, inputs, here.outlets)
        history = load_baselines(baselines, plan=record.plan, environment=record.environment).accepted
        code = verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)
        before = [run for run in history if run.id != record.id]
        results = Results(folder=folder if folder.is_dir() else folder.parent)
        published = publish(record, verdict, results, aimed, exit_code=code, history=before, outputs={})
        return published.exit_code(0)


def pull_baselines(to: Path, kind: StoreKind | None) -> int:
    """Fetch the stored baselines into a folder."""
    with _world(kind) as here:
        for sentence in here.store.bring(to):
            here.outlets.say(f"warning: {sentence}")
        put(str(to))
    return 0


def push_baseline(folder: Path, kind: StoreKind | None) -> int:
    """Store one kept run in the chosen store."""
    with _world(kind) as here:
        inputs = here.inputs
        further = kept_further(folder)
        acceptance = Acceptance(keep=inputs.keep, accept_change=inputs.accept_change, waivers=inputs.waivers, further=further)
        kept = here.store.keep(reread_run(folder), acceptance)
        put(f"stored {kept.where} ({kept.tries} {'try' if kept.tries == 1 else 'tries'})")
    return 0


@contextmanager
def _world(kind: StoreKind | None = None) -> Iterator[_JobWorld]:
    """The job's event and inputs, and real clients; everything temporary is removed afterwards."""
    harden(["GITHUB_TOKEN", *RUNNER_FILES])
    # What is started from here on, a build, a journey or a shard, has no business with the token and the runner's files.
    environ, private = os.environ, withheld()
    readable_no_proxy(environ)
    payload = event_payload(environ)
    here = checkout(Path.cwd())
    event = read_event(environ, payload, wanted=environ.get("VELRO_MODE", "").strip() or "auto")
    event = event.seen(sha=here.sha, parents=here.parents, why=here.why)
    inputs = read_inputs(environ, event.inputs)
    # A line break at its end is the most common thing to be copied along with it.
    token = (private.get(TOKEN, "") or private.get("GITHUB_TOKEN", "")).strip()
    hide([token], certain=True)
    console = people()

    def say(text: str) -> None:
        """One line, unwrapped: logs of a job are searched by line."""
        console.print(text, markup=False, soft_wrap=True)

    clock = Clock()
    temporary = environ.get("RUNNER_TEMP") or None
    files = {name: Path(private[name]) for name in RUNNER_FILES if private.get(name)}
    with (
        guarded(files.values(), say),
        tempfile.TemporaryDirectory(prefix="velro-gate-", dir=temporary, ignore_cleanup_errors=True) as scratch,
        Api(base_url=event.api_url, repository=event.repository, token=token, clock=clock) as api,
    ):
        git = Git(folder=Path(scratch, "store.git"), url=f"{event.server_url}/{event.repository}", token=token, environ=environ)
        store = store_for(
            kind or inputs.store,
            git=git,
            api=api,
            pause=Pause(sleep=clock.sleep, chance=clock.chance),
            branch=inputs.store_branch,
            path=inputs.store_path,
            default_branch=event.default_branch,
            say=say,
        )
        more = {"Reports": inputs.artifact_url} if inputs.artifact_url else {}
        trend = inputs.pages_url or pages_url(event.server_url, event.repository, inputs.pages_path)
        more |= {"Trend": trend} if inputs.pages and trend else {}
        known = verdict_origin(event)
        outlets = Outlets(
            command=put,
            say=say,
            summary=files.get("GITHUB_STEP_SUMMARY"),
            outputs=files.get("GITHUB_OUTPUT"),
            api=api if token else None,
            context=inputs.context,
            status_jobs=inputs.status_jobs,
            author=inputs.author,
            part=part_of(event, inputs, environ),
            label=inputs.runner or "",
            links={**known.links, **more},
            status_sha=event.head_sha,
            comment_sha=event.head_sha,
            about=known.about,
        )
        yield _JobWorld(event=event, inputs=inputs, outlets=outlets, store=store, baselines=Path(scratch, "baselines"), git=git)


def event_payload(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The event's payload.

    Raises:
        UsageError: it cannot be read.
    """
    name = environ.get("GITHUB_EVENT_PATH", "")
    if not name:
        return {}
    path = Path(name)
    try:
        if path.stat().st_size > LARGEST_PAYLOAD:
            raise UsageError("the event's payload is too large", where=name)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError("the event's payload cannot be read", where=f"GITHUB_EVENT_PATH={name}", why=why) from error
    if not isinstance(found, Mapping):
        raise UsageError("the event's payload is not an object", where=f"GITHUB_EVENT_PATH={name}")
    return found
