"""The comment as it is published: with trend, commits, links.

``python -m tests.report.published --write`` writes its golden files; ``--pictures DIR`` draws each as a browser shows it, and
``--readme`` the one in docs/comment.png (both need chromium).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.report.examples import (
    EXAMPLES,
    OK_FINDING,
    PRD,
    comparisons,
    findings_of,
    passing,
    record,
    regressed,
    regression,
    results,
)
from tests.report.hostile import crowded, hostile
from velro_gate import report
from velro_gate.gate.action.fork_report import measured_by_others
from velro_gate.gate.judge.verdict import without_duet
from velro_gate.model.record import Revision, RunRecord
from velro_gate.model.verdict import Finding, Level, Verdict

FOLDER = Path(__file__).parent / "published"
README_PICTURE = Path(__file__).resolve().parents[2] / "docs" / "comment.png"
LINKS = {
    "Run": "https://github.example/acme/shop/actions/runs/77",
    "Reports": "https://github.example/acme/shop/actions/runs/77/artifacts/5",
}
COMMITS = ("head 4c1d9e07a2b8", "base 0f3b2a118c55", "measured 77aa01b2c3d4")
FORK = ("head 4c1d9e07a2b8", "base 0f3b2a118c55")


@dataclass(frozen=True)
class Case:
    """One comment. baselines: how many accepted runs lie before it."""

    run: RunRecord
    verdict: Verdict
    baselines: int = 10
    about: tuple[str, ...] = COMMITS

    def text(self) -> str:
        """The comment."""
        return report.markdown(self.run, self.verdict, links=LINKS, history=history(self.baselines), about=self.about)


def history(count: int) -> list[RunRecord]:
    """Accepted runs whose response times wander by a few percent."""
    return [
        dataclasses.replace(record(load=1.0 + 0.02 * math.sin(2.3 * index)), id=f"baseline-{index}") for index in range(count)
    ]


def waived() -> Case:
    """A regression that reviewers have agreed to."""
    run, verdict = regressed()
    reason = "waived up to 40 % until 2026-12-31 (acme/shop#81): the new check is worth it"
    row = dataclasses.replace(regression(), level=Level.WARN, waived=True, reason=reason)
    sentence = f"p95 of authorization_check rose 31 %; {reason}"
    findings = findings_of(Level.WARN, (PRD, sentence, "Mend it before the waiver expires."))
    return Case(run, dataclasses.replace(verdict, findings=findings, comparisons=comparisons((row,))))


def first_run() -> Case:
    """No baseline at all."""
    run = record()
    advice = "Record accepted runs of the main branch on this runner: velro-gate baseline calibrate."
    missing = Finding(
        level=Level.NO_BASELINE,
        subject="baselines",
        sentence="there is no baseline to compare with: only the requirements were checked",
        advice=advice,
    )
    return Case(run, Verdict(findings=(missing, OK_FINDING), requirements=results(run)), baselines=0)


def from_fork() -> Case:
    """What the reporter tells of a fork's run."""
    run, verdict = regressed()
    revision = Revision(sha="4c1d9e07a2b85f63d0e1c2b3a4958677deadbeef", branch="", label="pull request 7")
    return Case(dataclasses.replace(run, revision=revision), measured_by_others(verdict), about=FORK)


def instead_of_a_duet() -> Case:
    """A stored comparison, because the base build could not be made."""
    run, verdict = passing()
    reason = "the base build's build-command ended with exit code 9 (serve.c:12: no such file)"
    return Case(run, without_duet(verdict, reason, "Try the command by hand."))


def of_example(name: str, baselines: int = 10) -> Callable[[], Case]:
    """An example of a verdict, published."""
    return lambda: Case(*EXAMPLES[name](), baselines=baselines)


CASES: dict[str, Callable[[], Case]] = {
    "pass": lambda: Case(*passing(), baselines=30),
    "fail": of_example("fail-both"),
    "confirmed": of_example("fail-confirmed"),
    "confirmed-beside": of_example("fail-confirmed-beside"),
    "improvement": of_example("improved"),
    "inconclusive": of_example("inconclusive"),
    "no-baseline": of_example("no-baseline", 1),
    "broken": of_example("broken"),
    "waived": waived,
    "first-run": first_run,
    "fork": from_fork,
    "duet": of_example("duet-fail", 0),
    "no-duet": instead_of_a_duet,
    "hostile": lambda: Case(*hostile()),
    "truncated": lambda: Case(*crowded(300)),
}


def golden(name: str) -> Path:
    """Where the golden file of one comment lies."""
    return FOLDER / f"{name}.md"


STYLE = """
body { margin: 0; padding: 20px 28px; background: #fff; color: #1f2328; font: 14px/1.5 "Liberation Sans", sans-serif; }
h3, h4 { line-height: 1.25; margin: 18px 0 10px; } table { border-collapse: collapse; margin: 10px 0; }
th, td { border: 1px solid #d1d9e0; padding: 5px 11px; } tr:nth-child(2n) { background: #f6f8fa; }
code { background: #eff1f3; border-radius: 6px; padding: 2px 5px; } summary { margin: 6px 0; } sub { color: #59636e; }
pre { background: #f6f8fa; border-radius: 6px; padding: 12px; white-space: pre-wrap; } pre code { padding: 0; }
blockquote { border-left: 4px solid #d1d9e0; color: #59636e; margin: 10px 0; padding: 0 14px; }
"""


def draw(name: str, folder: Path, *, height: int = 1_400, opened: Sequence[str] = ("Waiver", "Trend")) -> Path:
    """A picture of one comment. opened: the titles of the details that are unfolded."""
    folder.mkdir(parents=True, exist_ok=True)
    body = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(CASES[name]().text())
    for title in opened:
        body = body.replace(f"<details><summary>{title}", f"<details open><summary>{title}")
    page, picture = folder / f"{name}.html", folder / f"{name}.png"
    page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{body}", encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size=960,{height}"]
    command = ["chromium", *flags, f"--user-data-dir={folder}/profile", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return picture


def main() -> None:
    """Write the golden files, or draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--readme", action="store_true")
    chosen = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if chosen.readme:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copyfile(draw("confirmed", Path(folder), height=1_160, opened=()), README_PICTURE)
    for name, make in CASES.items():
        if chosen.write:
            golden(name).write_text(make().text(), encoding="utf-8")
        if chosen.pictures:
            print(draw(name, chosen.pictures))


if __name__ == "__main__":
    main()
