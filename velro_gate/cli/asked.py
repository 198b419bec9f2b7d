"""From the shared options to what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from velro_gate.cli.options import AUTO, Blocking
from velro_gate.cluster.options import ClusterOptions, cluster_options
from velro_gate.errors import UsageError
from velro_gate.gate.measure.setup import RunOptions, number_of_shards
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.model.scenario import BlockInconclusive
from velro_gate.scenario import scenario_name
from velro_gate.units import parse_bytes, parse_seconds

OWN_SCENARIO = Path("velro-scenario.yaml")
"""What ``init`` writes, and every command reads unless another file is named."""


def asked(
    scenario: Path | None,
    profile: str | None,
    quick: bool,
    phases: Sequence[str] | None,
    url: str | None,
    shards: str,
    *,
    blocking: BlockInconclusive | None = None,
) -> RunOptions:
    """What to run; the scenario of this folder where none is named. blocking: instead of the scenario's own.

    Raises:
        UsageError: options contradict each other, or no scenario is named and this folder has none.
    """
    if quick and profile not in (None, "quick"):
        raise UsageError(f"--quick-test and --profile {profile} contradict each other", hint="Give one of them.")
    return RunOptions(
        scenario=scenario or _own_scenario(),
        profile="quick" if quick else profile,
        phases=tuple(phases or ()),
        url=url,
        shards=number_of_shards(shards),
        block_inconclusive=blocking,
    )


def clustered(
    cluster: str | None, workers: int | None, wait: str, listen: str | None, shards: str, raw: str | None = None
) -> ClusterOptions | None:
    """The cluster that is to send the load; None: this machine sends it.

    Raises:
        UsageError: options contradict each other, or name no cluster.
    """
    if cluster is not None and shards != AUTO:
        raise UsageError("--cluster and --shards contradict each other", hint="Each worker of a cluster is one shard.")
    try:
        seconds = parse_seconds(wait)
    except ValueError as error:
        raise UsageError(f"--cluster-wait {wait} is not a duration: {error}", hint="Write it as in '2 min'.") from error
    try:
        kept = None if raw is None else parse_bytes(raw)
    except ValueError as error:
        raise UsageError(f"--cluster-raw {raw} is not a size: {error}", hint="Write it as in '512 MiB'.") from error
    if kept is not None and kept < 0:
        raise UsageError(f"--cluster-raw {raw} is negative", hint="Write it as in '512 MiB'; '0 B' keeps no samples.")
    return cluster_options(cluster, workers, seconds, listen, kept)


def blocking(wanted: Blocking | None, allow_inconclusive: bool) -> BlockInconclusive | None:
    """Which inconclusive runs block, by the two options that say so; None: as the scenario has it.

    Raises:
        UsageError: they contradict each other.
    """
    if not allow_inconclusive:
        return None if wanted is None else wanted.meaning
    if wanted not in (None, Blocking.NEVER):
        raise UsageError(
            f"--allow-inconclusive and --block-inconclusive {wanted.value} contradict each other", hint="Give one of them."
        )
    return False


def stored_name(scenario: Path | None) -> str | None:
    """The name under which a scenario's runs are stored; None where no file is named.

    Raises:
        UsageError: it is a folder. ScenarioError: the file cannot be used.
    """
    if scenario is not None and scenario.is_dir():
        raise UsageError(
            "this is a folder, not a scenario file",
            where=str(scenario),
            hint="Name a scenario file, or the folder of the stored baselines with --baselines.",
        )
    return None if scenario is None else scenario_name(scenario)


def _own_scenario() -> Path:
    """That of the folder one is in, and never one that came with velro-gate: its plan is another service's."""
    if not OWN_SCENARIO.is_file():
        raise UsageError(
            f"no scenario is named, and there is no {OWN_SCENARIO} in this folder",
            where=str(Path.cwd()),
            hint=f"Name a scenario file, or write one with 'velro-gate init'; an example is {shipped_scenario('velro-prd')}.",
        )
    return OWN_SCENARIO
