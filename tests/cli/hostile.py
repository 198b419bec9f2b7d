"""A build, a service and a journey that look for secrets wherever they can, and say them in whatever spelling they can."""

from __future__ import annotations

import base64
import html
import json
import shlex
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

_LOOKS = '''\
"""Usage: looks.py REPORT LOOKED_FOR. Reads of every process what its user may, and writes into all that a runner reads."""
import glob, json, os, sys

report, looked_for = sys.argv[1], bytes.fromhex(sys.argv[2])
found = {"variables": sorted(os.environ), "said_by": []}


def search(pid, kind, read):
    try:
        if looked_for in read():
            found["said_by"].append([kind, open(f"/proc/{pid}/cmdline").read().replace(chr(0), " ")])
    except OSError:
        pass


for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) == os.getpid():
        continue
    for kind in ("environ", "cmdline"):
        search(pid, kind, lambda: open(f"/proc/{pid}/{kind}", "rb").read())
for file in glob.glob(os.path.join(os.environ["RUNNER_TEMP"], "commands", "*")):
    with open(file, "a") as kept:
        kept.write("KIT_EVIL=1\\n")
with open(report, "a") as kept:
    kept.write(json.dumps(found) + "\\n")
'''

_SERVICE = '''\
"""Usage: echoes.py LINES. Answers with these lines in turn: in its header, its health and its log."""
import http.server, itertools, json, os, sys

lines = json.load(open(sys.argv[1]))
turn = itertools.cycle(lines)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        line = next(turn)
        print(line, flush=True)
        body = b'{"allowed": true}' if "/health" not in self.path else json.dumps({"status": "ok", "token": line}).encode()
        self.send_response(200)
        self.send_header("X-Cache-Layer", line.replace("\\n", " "))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


for line in lines:
    print(line, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''


def looking(folder: Path, report: Path, secret: str) -> str:
    """The line that looks for a secret in all processes. report: gets a line of JSON a look."""
    program = folder / "looks.py"
    program.write_text(_LOOKS, encoding="utf-8")
    words = [sys.executable, "-I", "-S", str(program), str(report), secret.encode().hex()]
    return " ".join(map(shlex.quote, words))


def echoing(folder: Path, secrets: list[str]) -> str:
    """The line that serves, with the secrets in all that it says."""
    program, lines = folder / "echoes.py", folder / "lines.json"
    program.write_text(_SERVICE, encoding="utf-8")
    spelt = [line for secret in secrets for line in (f"it is {secret}!", secret, *spellings(secret))]
    lines.write_text(json.dumps(spelt), encoding="utf-8")
    return f"exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(program))} {shlex.quote(str(lines))}"


def spellings(secret: str) -> list[str]:
    """The usual ways to write a secret, as their own libraries write them."""
    data = secret.encode()
    doubly = json.dumps(json.dumps({"a": secret}))
    return [
        secret.upper(),
        secret.lower(),
        quote(secret, safe=""),
        quote_plus(secret),
        quote(quote(secret, safe=""), safe=""),
        json.dumps(secret),
        doubly,
        html.escape(secret),
        "".join(f"&#{ord(sign)};" for sign in secret),
        "".join(f"\\u{ord(sign):04x}" for sign in secret),
        data.hex(),
        *(base64.b64encode(before + data).decode() for before in (b"", b"x", b"xy")),
        *(base64.urlsafe_b64encode(before + data + b"z").decode() for before in (b"", b"x", b"xy")),
    ]


def traces(secret: str) -> list[bytes]:
    """What must stand nowhere, in lower case: each spelling, and of Base64 what does not depend on its neighbours."""
    data = secret.encode()
    cores = []
    for packed in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            whole = packed(bytes(offset) + data)
            cores.append(whole[-(-8 * offset // 6) : 8 * (offset + len(data)) // 6])
    plain = [spelt for spelt in spellings(secret)[:11] if "{" not in spelt]
    return [trace.lower() for trace in (data, *(spelt.strip('"').encode() for spelt in plain), *cores)]
