"""Draw docs/comment.png: the comment of a failed run, as GitHub shows it. Needs chromium; run by hand when the comment changes.

Usage: .venv/bin/python scripts/comment_picture.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.report.examples import regressed  # noqa: E402
from velro_gate import report  # noqa: E402

WIDTH, HEIGHT = 960, 1_040
STYLE = """
body { margin: 0; padding: 20px 28px; background: #fff; color: #1f2328; font: 14px/1.5 "Liberation Sans", sans-serif; }
h1, h2, h3 { line-height: 1.25; margin: 18px 0 10px; } h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: 6px; }
table { border-collapse: collapse; margin: 10px 0; } th, td { border: 1px solid #d1d9e0; padding: 5px 11px; }
tr:nth-child(2n) { background: #f6f8fa; } code { background: #eff1f3; border-radius: 6px; padding: 2px 5px; }
pre { background: #f6f8fa; border-radius: 6px; padding: 12px; } pre code { padding: 0; }
summary { margin: 6px 0; } sub { color: #59636e; }
blockquote { border-left: 4px solid #d1d9e0; color: #59636e; margin: 10px 0; padding: 0 14px; }
"""


def main() -> None:
    """Render the example's markdown to HTML and take its picture."""
    record, verdict = regressed()
    body = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(report.markdown(record, verdict))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "comment.html"
        page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{body}", encoding="utf-8")
        picture = ROOT / "docs" / "comment.png"
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
        ]
        command += [
            f"--window-size={WIDTH},{HEIGHT}",
            f"--user-data-dir={folder}/profile",
            f"--screenshot={picture}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
    print(picture)


if __name__ == "__main__":
    main()
