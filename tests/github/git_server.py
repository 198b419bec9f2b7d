"""A smart-HTTP git server: git's own ``http-backend`` behind a small HTTP server, with GitHub's way of refusing.

``python -m tests.github.git_server --root DIR --port 0 [--protect main]`` serves DIR/owner/name.git and prints ``ready URL``.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from tests.quiet_server import QuietServer

HOOK = """\
#!/bin/sh
while read -r before after name; do
    for branch in {branches}; do
        if [ "$name" = "refs/heads/$branch" ]; then
            echo "error: {words} $name." >&2
            echo "error: Changes must be made through a pull request." >&2
            exit 1
        fi
    done
done
"""


def git(*words: str, cwd: Path | None = None, **env: str) -> str:
    """What a git command prints; for setting up and for looking."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    names = {f"GIT_{role}_{what}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words], cwd=cwd, check=True, capture_output=True, env={**clean, **names, **env}, text=True, errors="replace"
    )
    return done.stdout.strip()


def make_repository(root: Path, name: str = "acme/shop", *, protect: Sequence[str] = ()) -> Path:
    """A bare repository with one commit on main that holds a README and a source file."""
    bare = root / f"{name}.git"
    bare.mkdir(parents=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git("config", "http.receivepack", "true", cwd=bare)
    seed = root / f"{name.replace('/', '-')}-seed"
    git("init", "--quiet", "--initial-branch=main", str(seed))
    (seed / "README.md").write_text("a shop\n", encoding="utf-8")
    (seed / "src").mkdir()
    (seed / "src" / "shop.py").write_text("print('shop')\n", encoding="utf-8")
    git("add", ".", cwd=seed)
    git("commit", "--quiet", "--message", "A shop", cwd=seed)
    git("push", "--quiet", str(bare), "main", cwd=seed)
    protect_branches(bare, protect)
    return bare


GH006 = "GH006: Protected branch update failed for"
GH013 = "GH013: Repository rule violations found for"


def protect_branches(bare: Path, branches: Sequence[str], words: str = GH006) -> None:
    """Refuse pushes to these branches from now on, as GitHub refuses them: by protection, or by a ruleset (GH013)."""
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(branches=" ".join(branches), words=words), encoding="utf-8")
    hook.chmod(0o755)


def _allowed(header: str) -> bool:
    kind, _, packed = header.partition(" ")
    with contextlib.suppress(ValueError):
        return kind.lower() == "basic" and base64.b64decode(packed).decode().partition(":")[2].startswith("good")
    return False


def _handler(root: Path, *, open_to_all: bool, seen: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self._body()
            seen.append(f"{self.command} {self.path}")
            if not open_to_all and not _allowed(self.headers.get("authorization", "")):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._answer(self._backend(body))

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _backend(self, body: bytes) -> bytes:
            parts = urlsplit(self.path)
            path = parts.path.lstrip("/")
            # GitHub takes an address with and without the ending.
            owner, name, rest = path.split("/", 2)
            path = f"{owner}/{name.removesuffix('.git')}.git/{rest}"
            environ = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": f"/{path}",
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("content-type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                "REMOTE_USER": "token",
            }
            return subprocess.run(["git", "http-backend"], input=body, env=environ, capture_output=True, check=False).stdout

        def _answer(self, answer: bytes) -> None:
            head, _, content = answer.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

        do_GET = do_POST = _serve  # noqa: N815 (the standard library's names)

    return Handler


@contextlib.contextmanager
def git_server(root: Path, *, open_to_all: bool = False, port: int = 0) -> Iterator[tuple[str, list[str]]]:
    """The server's URL, and every request that it has seen."""
    seen: list[str] = []
    server = QuietServer(("127.0.0.1", port), _handler(root, open_to_all=open_to_all, seen=seen))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def main() -> None:
    """Serve until interrupted; a repository that is not there is made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--repository", default="acme/shop")
    parser.add_argument("--protect", action="append", default=[])
    parser.add_argument("--open", action="store_true")
    chosen = parser.parse_args()
    bare = chosen.root / f"{chosen.repository}.git"
    if bare.exists():
        protect_branches(bare, chosen.protect)
    else:
        make_repository(chosen.root, chosen.repository, protect=chosen.protect)
    with git_server(chosen.root, open_to_all=chosen.open, port=chosen.port) as (url, _):
        print(f"ready {url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
