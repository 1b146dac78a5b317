#!/usr/bin/env python3
"""Runs a table of kubectl commands against two API servers and compares what they print and their exit codes.

    run.py THEIRS OURS TABLE...        THEIRS and OURS are folders with an admin.kubeconfig

A line of a table is the arguments of one kubectl command, as a shell would read them; after `! ` it is a line of shell,
with what helpers.sh defines. `known (why): LINE` is a listed difference: it has to differ, or it is to be listed no more.
`unordered: LINE` prints its lines in the order of kubectl's hash maps and goroutines. `full: LINE` runs only with
DECAPOD_TEST_FULL. `#` begins a comment. Each server runs the whole table in order, both at
the same time.
Before the comparison, what no two servers have alike is replaced by its kind: times, ages, uids, revisions, tokens,
addresses, ports and generated names.
"""
import difflib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SECONDS_MAX = 30

# (pattern, replacement), applied in this order to the whole output.
MASKS = [(re.compile(pattern, re.M), text) for pattern, text in [
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"^[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "LOG "),
    # A client that gives up while its watch begins may say so.
    (r"^LOG reflector[^\n]*very short watch[^\n]*\n", ""),
    (r"X509SHA256=[0-9a-f]{64}", "DIGEST"),
    (r"<invalid>", "AGE"),
    (r"(?<![\w.=/-])(\d+[smhd]){1,2}(?![\w.])( ago)?", "AGE"),
    (r'(resourceVersion"?: ?"?)\d+', r"\1RV"),
    (r"(?i)(resource ?version:? +)\d+", r"\1RV"),
    (r'("continue":")[^"]+', r"\1CONTINUE"),
    (r"^((?:---|\+\+\+) /tmp/\S+)\t.*", r"\1"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC", "TIME"),
    (r"(kubectl-v[\d.]+-edit)-\d+", r"\1"),
    (r"\b(LIVE|MERGED)-\d+", r"\1"),
    (r"\b10\.43\.(?!0\.1\b)\d+\.\d+\b", "IP"),
    (r"\b3[012]\d{3}\b", "NODEPORT"),
    (r"127\.0\.0\.1:(\d+|PORT)", "SERVER"),
    # Generated names: five of the letters that upstream draws from.
    (r"\b(generated-|kube-api-access-|debugger-)[bcdfghjklmnpqrstvwxz2456789]{5}\b", r"\1SUFFIX"),
    # Upstream shows values of its internal types, with Go's names of the fields.
    (r"((?:Invalid|Duplicate|Unsupported) value: )(?:\{.*\}|\[\{.*\}\])", r"\1OBJECT"),
    # Upstream shows what it has not used up of a patch.
    (r'(patch: Invalid value: )"map\[.*\]"', r"\1OBJECT"),
    (r"\bkubernetes-admin\b", "admin"),
    # What a value is good for is not in our descriptions.
    (r'^(\s*- `"[^"]*"`)[^\n]*(?:\n(?!\s*- `"|\s*$)\s+[^\n]*)*', r"\1"),
    (r"(Expected resource version to be \d+, was )\d+", r"\1RV"),
    (r"[ \t]+$", ""),
    # Columns are padded to the widest cell, which may be one of the above.
    (r"(?<=\S)\s*\t\s*|(?<=\S) {2,}", "  "),
]]


class Line:
    """One command: its place, its text, and why it may differ."""

    def __init__(self, place, text):
        self.place, self.known, self.seconds = place, None, 0.0
        match = re.match(r"known \(([^)]*)\): ?(.*)", text)
        if match:
            self.known, text = match.groups()
        self.unordered = text.startswith("unordered: ")
        text = text.removeprefix("unordered: ")
        self.text = text
        self.script = text[2:] if text.startswith("! ") else "k " + text


class Lane(threading.Thread):
    """One server, and what it answered to each line."""

    def __init__(self, folder, lines):
        super().__init__()
        self.folder, self.lines, self.answers = pathlib.Path(folder), lines, []
        config = (self.folder / "admin.kubeconfig").read_text()
        self.port = re.compile(r"\b" + re.search(r"server: https://[^:]*:(\d+)", config)[1] + r"\b")

    def run(self):
        self.began = time.monotonic()
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(self.folder / "admin.kubeconfig"), "TZ": "UTC", "LC_ALL": "C",
            # It ends before collecting garbage would pay.
            "GOGC": "off",
            "KUBECTL": os.environ["KUBECTL"], "BASH_ENV": str(HERE / "helpers.sh"), "M": str(HERE / "manifests"), "F": os.environ["FIXTURES"],
            "BESIDE_HELPERS": os.environ.get("BESIDE_HELPERS", ""),
        }
        for line in self.lines:
            self.answers.append(self.answer(line, home, environment))
        self.seconds = time.monotonic() - self.began

    def answer(self, line, home, environment):
        began = time.monotonic()
        process = subprocess.Popen(["bash", "-c", line.script], cwd=home, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        line.seconds = max(line.seconds, time.monotonic() - began)
        text = plain(out.decode(errors="replace")) + "\n--- standard error ---\n" + err.decode(errors="replace")
        text = self.port.sub("PORT", text.replace(str(self.folder), "FOLDER"))
        for pattern, replacement in MASKS:
            text = pattern.sub(replacement, text)
        # Causes come in the order of a hash map in places.
        lines = text.splitlines()
        causes = sorted(line for line in lines if line.startswith("* "))
        lines = [causes.pop(0) if line.startswith("* ") else line for line in lines]
        if line.unordered:
            lines.sort()
        return lines + [f"exit code {process.returncode}"]


def plain(text):
    """The order of fields and the blanks in a JSON document mean nothing."""
    if text.startswith("{"):
        try:
            return json.dumps(json.loads(text), sort_keys=True, indent=1)
        except ValueError:
            pass
    return text


def read(tables):
    full = os.environ.get("DECAPOD_TEST_FULL")
    for table in tables:
        for number, text in enumerate(pathlib.Path(table).read_text().splitlines(), 1):
            text = text.strip()
            if text.startswith("full: "):
                text = text[6:] if full else ""
            if text and not text.startswith("#"):
                yield Line(f"{pathlib.Path(table).name}:{number}", text)


def main():
    lines = list(read(sys.argv[3:]))
    theirs, ours = Lane(sys.argv[1], lines), Lane(sys.argv[2], lines)
    for lane in (theirs, ours):
        lane.start()
    for lane in (theirs, ours):
        lane.join()
    same = known = different = 0
    for line, a, b in zip(lines, theirs.answers, ours.answers, strict=True):
        if a == b and line.known is None:
            same += 1
        elif a != b and line.known is not None:
            known += 1
        elif a == b:
            different += 1
            print(f"=== {line.place}: {line.text}\n    is the same by now, and listed as different: {line.known}")
        else:
            different += 1
            print(f"=== {line.place}: {line.text}")
            print("\n".join(list(difflib.unified_diff(a, b, "theirs", "ours", lineterm="", n=2))[:120]))
        if line.known is not None and a != b and os.environ.get("SHOW"):
            print(f"=== {line.place}: {line.text}\n    known: {line.known}")
            print("\n".join(list(difflib.unified_diff(a, b, "theirs", "ours", lineterm="", n=2))[:60]))
    if os.environ.get("SHOW"):
        for line, a in zip(lines, theirs.answers):
            print(f">>> {line.seconds:.1f} s {line.text}\n" + "\n".join(a))
    print(f"{len(lines)} commands: {same} the same, {known} known differences, {different} differ; {theirs.seconds:.0f} and {ours.seconds:.0f} s")
    sys.exit(different > 0)


main()
