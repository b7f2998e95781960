#!/usr/bin/env python3
"""Counts the test cases that really ran, from what Bazel wrote about its runs.

usage: count_tests.py EVENTS...

EVENTS are files of `bazel test --build_event_json_file=EVENTS`. Every test.xml they name is read: googletest lists its
cases there; for other tests Bazel writes one case. A target that was not built, a test that crashed or timed out, and
a run of Bazel that broke off count as one failed case each unless cases of theirs are already counted as failed; of a
test that was tried again only the last try counts.

Names what failed, and ends with the line
    N passed, N failed
Exit status: 0 if something ran and nothing failed, 1 otherwise, 2 for wrong usage.
"""
import collections
import json
import sys
import urllib.parse
import xml.etree.ElementTree

BAZEL_RAN_TO_ITS_END = {0: "success", 3: "tests failed", 4: "no tests found"}
PASSED_STATUS = ("PASSED", "FLAKY")


class Tally:
    """Cases by outcome; for those that did not pass, their names."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def read_events(path):
    """The events of one run of Bazel: what there is of them, should the file be cut short or absent."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, json.JSONDecodeError):
        return  # The event that ends a run is the last one, so its absence tells.


def case_outcome(case):
    """'failed', 'skipped' or 'passed' for one <testcase>; disabled ones count as skipped."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None or case.get("status") == "notrun" or case.get("result") in ("skipped", "suppressed"):
        return "skipped"
    return "passed"


def count_xml(label, path):
    """The tally of one test.xml; empty if it cannot be read."""
    tally = Tally()
    try:
        cases = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return tally
    for case in cases:
        outcome = case_outcome(case)
        name = ".".join(part for part in (case.get("classname"), case.get("name")) if part)
        if outcome == "passed":
            tally.passed += 1
        else:
            getattr(tally, outcome).append(f"{label}: {name}")
    return tally


def count_result(label, result):
    """The tally of one `testResult` event: one shard of one run of a test."""
    tally = Tally()
    for output in result.get("testActionOutput", []):
        if output.get("name") == "test.xml":
            path = urllib.parse.unquote(urllib.parse.urlparse(output.get("uri", "")).path)
            tally.add(count_xml(label, path))
    status = result.get("status", "NO_STATUS")
    if status not in PASSED_STATUS:
        if not tally.failed:
            tally.failed.append(f"{label}: {status}")
    elif not tally.passed and not tally.failed and not tally.skipped:
        tally.passed += 1  # It passed and left no list of cases.
    return tally


def count_run(path):
    """The tally of one run of Bazel."""
    results, tally, exit_code = collections.OrderedDict(), Tally(), None
    for event in read_events(path):
        key = event.get("id", {})
        if "testResult" in key and "testResult" in event:
            run = key["testResult"]
            results[(run.get("label"), run.get("run"), run.get("shard"))] = max(
                (run.get("attempt", 1), event["testResult"]),
                results.get((run.get("label"), run.get("run"), run.get("shard")), (0, {})),
                key=lambda attempt: attempt[0])
        elif "targetCompleted" in key and not event.get("completed", {}).get("success"):
            tally.failed.append(f"{key['targetCompleted'].get('label')}: was not built")
        elif "finished" in event:
            exit_code = event["finished"].get("exitCode", {}).get("code", 0)
    for (label, _, _), (_, result) in results.items():
        tally.add(count_result(label, result))
    if exit_code not in BAZEL_RAN_TO_ITS_END and not tally.failed:
        tally.failed.append(f"{path}: bazel " + (f"ended with status {exit_code}" if exit_code is not None else "broke off"))
    return tally


def main(arguments):
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    if not arguments or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    total = Tally()
    for path in arguments:
        total.add(count_run(path))
    for name in total.failed:
        print(f"FAILED  {name}")
    for name in total.skipped:
        print(f"skipped {name}")
    if not total.passed and not total.failed:
        print("no test ran")
    if total.skipped:
        print(f"{len(total.skipped)} skipped")
    print(f"{total.passed} passed, {len(total.failed)} failed")
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
