#!/usr/bin/env python3
"""What count_tests.py promises."""
import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import count_tests  # pylint: disable=wrong-import-position

GTEST_XML = """<testsuites><testsuite name="A">
  <testcase name="Passes" classname="A" status="run" result="completed"/>
  <testcase name="Fails" classname="A" status="run" result="completed"><failure message="1"/><failure message="2"/></testcase>
  <testcase name="Skips" classname="A" status="run" result="skipped"><skipped message="no"/></testcase>
  <testcase name="DISABLED_No" classname="A" status="notrun" result="suppressed"/>
</testsuite></testsuites>"""
PASSING_XML = '<testsuites><testsuite><testcase name="a/x" status="run"/></testsuite></testsuites>'
TWO_PASSING_XML = '<testsuites><testcase name="x"/><testcase name="y"/></testsuites>'


class CountTestsTest(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="count tests ")
        self.addCleanup(self.folder.cleanup)
        self.events = []
        self.files = 0

    def result(self, status, xml=None, label="//a:x", attempt=1, shard=1):
        """Adds the event of one finished test."""
        outputs = []
        if xml is not None:
            self.files += 1
            path = pathlib.Path(self.folder.name) / f"{self.files}.xml"
            path.write_text(xml)
            outputs = [{"name": "test.log", "uri": "file:///nowhere"}, {"name": "test.xml", "uri": path.as_uri()}]
        self.events.append({"id": {"testResult": {"label": label, "run": 1, "shard": shard, "attempt": attempt}},
                            "testResult": {"status": status, "testActionOutput": outputs}})

    def finish(self, code):
        self.events.append({"id": {"buildFinished": {}}, "finished": {"exitCode": {"code": code} if code else {}}})

    def count(self, *more):
        """(exit status, printed lines) of the command on the events so far."""
        path = pathlib.Path(self.folder.name) / "events.json"
        path.write_text("".join(json.dumps(event) + "\n" for event in self.events))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = count_tests.main([str(path), *more])
        return status, printed.getvalue().splitlines()

    def test_counts_the_cases_of_googletest(self):
        self.result("FAILED", GTEST_XML)
        self.finish(3)
        self.assertEqual(self.count(), (1, ["FAILED  //a:x: A.Fails", "skipped //a:x: A.Skips",
                                            "skipped //a:x: A.DISABLED_No", "2 skipped", "1 passed, 1 failed"]))

    def test_counts_a_test_without_cases_as_one(self):
        self.result("PASSED", PASSING_XML)
        self.result("PASSED", label="//a:y")
        self.result("PASSED", "not xml", label="//a:z")
        self.finish(0)
        self.assertEqual(self.count(), (0, ["3 passed, 0 failed"]))

    def test_adds_up_shards_and_runs_of_bazel(self):
        self.result("PASSED", TWO_PASSING_XML, shard=1)
        self.result("PASSED", TWO_PASSING_XML, shard=2)
        self.finish(0)
        path = os.path.join(self.folder.name, "events.json")
        self.assertEqual(self.count(path), (0, ["8 passed, 0 failed"]))

    def test_a_crash_or_timeout_is_a_failed_case(self):
        self.result("TIMEOUT", PASSING_XML)
        self.result("FAILED", label="//a:y")
        self.finish(3)
        self.assertEqual(self.count(), (1, ["FAILED  //a:x: TIMEOUT", "FAILED  //a:y: FAILED", "1 passed, 2 failed"]))

    def test_only_the_last_attempt_counts(self):
        for order in ((1, 2), (2, 1)):
            self.events = []
            for attempt in order:
                self.result("PASSED" if attempt == 2 else "FAILED", PASSING_XML if attempt == 2 else GTEST_XML, attempt=attempt)
            self.finish(0)
            self.assertEqual(self.count(), (0, ["1 passed, 0 failed"]))

    def test_a_target_that_was_not_built_is_a_failed_case(self):
        self.result("PASSED", PASSING_XML)
        self.events.append({"id": {"targetCompleted": {"label": "//b:y"}}, "completed": {"failureDetail": {}}})
        self.events.append({"id": {"targetCompleted": {"label": "//b:z"}}, "aborted": {"reason": "ANALYSIS_FAILURE"}})
        self.events.append({"id": {"targetCompleted": {"label": "//b:ok"}}, "completed": {"success": True}})
        self.finish(1)
        self.assertEqual(self.count(), (1, ["FAILED  //b:y: was not built", "FAILED  //b:z: was not built",
                                            "1 passed, 2 failed"]))

    def test_a_run_that_broke_is_a_failed_case(self):
        self.result("PASSED", PASSING_XML)
        status, lines = self.count()
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
        self.finish(37)
        status, lines = self.count()
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertIn("status 37", lines[0])

    def test_a_missing_or_cut_file_is_a_failed_case(self):
        self.result("PASSED", PASSING_XML)
        self.finish(0)
        for content in (None, "", '{"id": {"buil'):
            other = pathlib.Path(self.folder.name) / "other.json"
            if content is not None:
                other.write_text(content)
            status, lines = self.count(str(other))
            self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
            self.assertIn("broke off", lines[0])

    def test_nothing_ran_is_no_success(self):
        self.finish(4)
        self.assertEqual(self.count(), (1, ["no test ran", "0 passed, 0 failed"]))

    def test_one_workspace_may_have_no_tests(self):
        self.result("PASSED", PASSING_XML)
        self.finish(0)
        other = pathlib.Path(self.folder.name) / "other.json"
        other.write_text(json.dumps({"id": {"buildFinished": {}}, "finished": {"exitCode": {"code": 4}}}) + "\n")
        self.assertEqual(self.count(str(other)), (0, ["1 passed, 0 failed"]))


if __name__ == "__main__":
    unittest.main()
