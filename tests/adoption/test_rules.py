"""What the doctor finds: each rule on a workflow that breaks it, with the line, and silent on one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from velro_gate.adoption import Severity, examine_workflows, read_workflows

GATE = f"acme/velro-gate@{'1' * 40}"
PINNED = f"actions/checkout@{'2' * 40}"
SAME = "github.event.pull_request.head.repo.full_name == github.repository"

GOOD = f"""\
on:
  pull_request:
permissions: {{}}
jobs:
  gate:
    if: {SAME}
    runs-on: [self-hosted, perf]
    timeout-minutes: 30
    permissions:
      contents: read
      pull-requests: write
      statuses: write
    steps:
      - uses: {PINNED}
        with:
          persist-credentials: false
      - uses: {GATE}
        with: {{runner-label: perf}}
"""
BASELINE = f"""\
on:
  push:
    branches: [main]
concurrency:
  group: baseline
  queue: max
jobs:
  store:
    runs-on: [self-hosted, perf]
    timeout-minutes: 30
    permissions:
      contents: write
      statuses: write
    steps:
      - uses: {GATE}
        with: {{runner-label: perf}}
"""
REPORT = f"""\
on:
  workflow_run:
    workflows: [gate]
jobs:
  report:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      actions: read
      contents: read
      pull-requests: write
      statuses: write
    steps:
      - uses: {GATE}
"""


def found(folder: Path, text: str) -> list[tuple[str, Severity, int]]:
    """Rule, severity and line of each finding about one workflow."""
    file = folder / ".github/workflows/w.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    workflows, unreadable = read_workflows(folder)
    findings = [one for one in (*unreadable, *examine_workflows(workflows)) if not one.rule.startswith("shared-")]
    assert all(each.where.startswith(".github/workflows") and each.why and each.do for each in findings)
    return [(each.rule, each.severity, int(each.where.rpartition(":")[2])) for each in findings if ":" in each.where]


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize("text", [GOOD, BASELINE, REPORT], ids=["gate", "baseline", "report"])
def test_a_workflow_as_it_should_be_has_no_finding(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


FAULT, ADVICE = Severity.FAULT, Severity.ADVICE
CASES = {
    "a fork's code on our machine": (GOOD, f"    if: {SAME}\n", "", "fork-code", FAULT, "runs-on"),
    "a fork's code behind an environment": (GOOD, f"if: {SAME}", "environment: forks", "fork-code", ADVICE, "environment"),
    "a label that GitHub does not have": (
        GOOD.replace(f"    if: {SAME}\n", ""),
        "[self-hosted, perf]",
        "perf",
        "fork-code",
        FAULT,
        "runs-on",
    ),
    "a fork's code on a machine that a matrix names": (
        GOOD.replace(f"    if: {SAME}\n", "    strategy: {matrix: {include: [{on: ubuntu-24.04}, {on: [self-hosted]}]}}\n"),
        "[self-hosted, perf]",
        "${{ matrix.on }}",
        "fork-code",
        FAULT,
        "runs-on",
    ),
    "a filter by paths": (GOOD, "pull_request:", "pull_request: {paths: [src/**]}", "path-filter", FAULT, "paths:"),
    "a filter of paths": (
        GOOD,
        "pull_request:",
        "pull_request:\n    paths-ignore: [docs/**]",
        "path-filter",
        FAULT,
        "paths-ig",
    ),
    "no right to comment": (GOOD, "      pull-requests: write\n", "", "permission", FAULT, "contents: read"),
    "a right to read comments only": (GOOD, "requests: write", "requests: read", "permission", FAULT, "contents: read"),
    "no right to set the status": (GOOD, "      statuses: write\n", "", "permission", FAULT, "contents: read"),
    "all rights to read": (
        BASELINE,
        "permissions:\n      contents: write\n      statuses: write",
        "permissions: read-all",
        "permission",
        FAULT,
        "permissions: r",
    ),
    "no right to push": (BASELINE, "contents: write", "contents: read", "permission", FAULT, "contents: read"),
    "no right to open an issue": (
        BASELINE,
        "with: {runner-label: perf",
        "with: {alerts: true, runner-label: perf",
        "permission",
        FAULT,
        "contents: write",
    ),
    "no right to fetch the artifact": (REPORT, "      actions: read\n", "", "permission", FAULT, "contents: read"),
    "a queue that drops runs": (BASELINE, "  queue: max\n", "", "queue-max", FAULT, "concurrency"),
    "a measurement that is cancelled": (BASELINE, "queue: max", "cancel-in-progress: true", "queue-max", FAULT, "cancel"),
    "a report of success only": (
        REPORT,
        "    runs-on: ubuntu",
        "    if: github.event.workflow_run.conclusion == 'success'\n    runs-on: ubuntu",
        "success-guard",
        FAULT,
        "if:",
    ),
    "an action by its tag": (GOOD, PINNED, "actions/checkout@v7", "unpinned", FAULT, "actions/checkout@v7"),
    "a short commit": (GOOD, PINNED, "actions/checkout@2222222", "unpinned", FAULT, "actions/checkout@2222222"),
    "a token that is left": (GOOD, "persist-credentials: false", "fetch-depth: 1", "persisted-token", ADVICE, PINNED),
    "no time limit": (GOOD, "    timeout-minutes: 30\n", "", "no-time-limit", ADVICE, "  gate:"),
    "the head's code with our rights": (
        REPORT,
        f"- uses: {GATE}",
        f"- uses: {PINNED}\n        with:\n          ref: ${{{{ github.event.workflow_run.head_sha }}}}\n      - uses: {GATE}",
        "head-code",
        FAULT,
        "ref:",
    ),
    "the head's code by its commit": (
        REPORT,
        f"- uses: {GATE}",
        f'- run: git fetch origin "${{{{ github.event.pull_request.head.sha }}}}"\n      - uses: {GATE}',
        "head-code",
        FAULT,
        "- run:",
    ),
    "the head's code by a variable": (
        REPORT,
        f"- uses: {GATE}",
        "- env: {SHA: '${{ github.event.workflow_run.head_sha }}'}\n"
        f'        run: git -C src checkout "$SHA"\n      - uses: {GATE}',
        "head-code",
        FAULT,
        "run: git",
    ),
    "no right to fetch the archive of baselines": (
        REPORT.replace("workflow_run:\n    workflows: [gate]", "workflow_dispatch:").replace("      actions: read\n", ""),
        f"- uses: {GATE}",
        f"- uses: {GATE}\n        with: {{baseline-store: artifact}}",
        "permission",
        FAULT,
        "contents: read",
    ),
    "the head's code by hand": (
        REPORT,
        f"- uses: {GATE}",
        f"- run: gh pr checkout 7\n      - uses: {GATE}",
        "head-code",
        FAULT,
        "- run:",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_found_on_its_line(tmp_path: Path, case: str) -> None:
    good, old, new, rule, severity, place = CASES[case]
    assert old in good
    text = good.replace(old, new, 1)
    assert found(tmp_path, text) == [(rule, severity, line_of(text, place))]


def test_the_head_of_a_pull_request_under_pull_request_target_is_found(tmp_path: Path) -> None:
    checkout = f"{PINNED}\n        with:\n          ref: ${{{{ github.event.pull_request.head.sha }}}}\n          x: y"
    text = GOOD.replace("pull_request:", "pull_request_target:", 1).replace(f"{PINNED}\n        with:", checkout)
    assert ("head-code", FAULT, line_of(text, "ref:")) in found(tmp_path, text)


def test_a_reporter_may_speak_of_the_head_without_fetching_it(tmp_path: Path) -> None:
    step = '- env: {SHA: "${{ github.event.workflow_run.head_sha }}"}\n        run: echo "$SHA"\n      - uses: '
    assert found(tmp_path, REPORT.replace("- uses: ", step, 1)) == []


def test_issues_write_lets_comment_as_well(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD.replace("pull-requests: write", "issues: write")) == []


def test_what_is_switched_off_needs_no_right(tmp_path: Path) -> None:
    text = GOOD.replace("      pull-requests: write\n      statuses: write\n", "").replace(
        "with: {runner-label: perf}", "with: {runner-label: perf, comment: false, status: false}"
    )
    assert found(tmp_path, text) == []


def test_rights_that_nobody_states_are_advised_and_no_fault(tmp_path: Path) -> None:
    text = BASELINE.replace("    permissions:\n      contents: write\n      statuses: write\n", "")
    assert found(tmp_path, text) == [("permission", ADVICE, line_of(text, "    runs-on"))]


def test_workflows_that_neither_gate_nor_run_here_may_name_tags(tmp_path: Path) -> None:
    text = "on: push\njobs:\n  lint:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: actions/checkout@v7\n"
    assert found(tmp_path, text) == []


DEEP, BEYOND = "jobs: " + "[" * 5_000, 'jobs: "\\U00110000"'


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["jobs: [\n", "- a\n- list\n", "a: b: c\n", "", "on: !!python/object:os.system {}\njobs: [\n", DEEP, BEYOND],
    ids=range(7),
)
def test_a_file_that_is_no_workflow_is_named_and_ends_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/w.yml").write_text(text, encoding="utf-8")
    workflows, unreadable = read_workflows(tmp_path)
    assert workflows == []
    assert [each.rule for each in unreadable] == ["unreadable"]


@pytest.mark.parametrize(
    "text",
    [
        "on: [pull_request, 7]\njobs: none\n",
        "jobs: {a: [], b: {steps: {}, runs-on: {group: g}}}\non: {pull_request: []}\n",
        "x: &a [*a]\n",
        "on: pull_request\njobs: {a: {runs-on: '${{ matrix.x }}', strategy: {matrix: &a {x: [*a]}}}}\n",
    ],
)
def test_odd_shapes_are_read_without_complaint(tmp_path: Path, text: str) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/w.yml").write_text(text, encoding="utf-8")
    workflows, unreadable = read_workflows(tmp_path)
    assert len(workflows) == 1
    assert unreadable == []
    examine_workflows(workflows)


def test_a_matrix_that_aliases_make_endless_is_read_at_once(tmp_path: Path) -> None:
    levels = [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 300 if i else ['self-hosted'])}]\n" for i in range(9)]
    text = "on: pull_request\njobs:\n a:\n  runs-on: ${{ matrix.x }}\n  strategy: {matrix: *a8}\n  steps: []\n"
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/w.yml").write_text("x:\n" + "".join(levels) + text, encoding="utf-8")
    (workflow,), unreadable = read_workflows(tmp_path)
    assert unreadable == []
    assert [job.may_be_self_hosted for job in workflow.jobs] == [True]


def test_a_repository_without_a_gate_is_pointed_to_init(tmp_path: Path) -> None:
    (finding,) = examine_workflows(read_workflows(tmp_path)[0])
    assert finding.rule == "no-gate"
    assert "velro-gate init" in finding.do


# What jobs share.


def among(folder: Path, *texts: str) -> list[tuple[str, Severity, str]]:
    """Rule, severity and place of what several workflows share."""
    place = folder / ".github/workflows"
    place.mkdir(parents=True)
    for number, text in enumerate(texts):
        (place / f"{number}.yml").write_text(text, encoding="utf-8")
    workflows, _ = read_workflows(folder)
    return [(one.rule, one.severity, one.where) for one in examine_workflows(workflows) if one.rule.startswith("shared-")]


PLAIN = GOOD.replace("        with: {runner-label: perf}\n", "")
MATRIX = PLAIN.replace("    timeout-minutes", "    strategy: {matrix: {size: [small, large]}}\n    timeout-minutes")
UPLOADING = f"      - uses: actions/upload-artifact@{'3' * 40}\n        with: {{name: reports, path: velro-results}}\n"
LABELLED = "        with: {runner-label: '${{ matrix.size }}', status-context: 'perf ${{ matrix.size }}'}\n"


def test_a_matrix_of_gates_needs_labels_contexts_and_artifacts_of_its_own(tmp_path: Path) -> None:
    rules = [(rule, severity) for rule, severity, _ in among(tmp_path, MATRIX + UPLOADING)]
    assert rules == [
        ("shared-comment", Severity.FAULT),
        ("shared-status", Severity.ADVICE),
        ("shared-artifact", Severity.FAULT),
    ]


def test_a_matrix_that_gives_each_its_own_is_fine(tmp_path: Path) -> None:
    named = UPLOADING.replace("name: reports", "name: '${{ steps.gate.outputs.artifact-name }}'")
    assert among(tmp_path, MATRIX + LABELLED + named) == []


def test_two_workflows_with_one_plan_are_named_by_file_and_line(tmp_path: Path) -> None:
    first, second = among(tmp_path, GOOD, GOOD)
    line = GOOD.splitlines().index(f"      - uses: {GATE}") + 1
    assert first == ("shared-comment", Severity.FAULT, f".github/workflows/1.yml:{line}")
    assert second[0] == "shared-status"


def test_two_scenarios_share_a_status_at_most(tmp_path: Path) -> None:
    other = PLAIN + "        with: {scenario: other.yaml}\n"
    assert [rule for rule, _, _ in among(tmp_path, GOOD, other)] == ["shared-status"]


def test_a_status_that_waits_for_all_who_share_it_is_fine(tmp_path: Path) -> None:
    counted = PLAIN + "        with: {scenario: other.yaml, status-jobs: 2}\n"
    assert among(tmp_path, GOOD, counted) == []


def test_a_gate_without_a_label_for_its_runners_is_advised_that_only_the_same_one_is_compared_with(tmp_path: Path) -> None:
    text = GOOD.replace("        with: {runner-label: perf}\n", "")
    assert found(tmp_path, text) == [("runner-pool", Severity.ADVICE, line_of(text, GATE))]
