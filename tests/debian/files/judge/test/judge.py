"""Runs one module of CPython's test suite and tells of each test by itself.

judge.py MODULE LIMIT [LAST]

Standard output gets a line `@judge start ID` as each test begins and
`@judge VERDICT ID` as it ends (pass, fail, skip), between whatever else is
written there; standard error gets the reasons. A test that takes longer than
LIMIT seconds ends the process after the stacks of all threads were shown; a
further run with LAST, the name of that test, goes on behind it.
"""

import faulthandler
import os
import sys
import tempfile
import unittest

from test import support


class Verdicts(unittest.TestResult):
    """Says each verdict at once: the process may not live to say it later."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        # Tests replace and close the first three descriptors.
        self.out = os.dup(1)
        self.err = open(os.dup(2), "w", errors="backslashreplace")
        self.verdict = None

    def say(self, word, test):
        os.write(self.out, f"\n@judge {word} {test.id()}\n".encode())

    def startTest(self, test):
        super().startTest(test)
        self.verdict = "pass"
        self.say("start", test)
        faulthandler.dump_traceback_later(self.limit, exit=True, file=self.err)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        self.say(self.verdict, test)
        super().stopTest(test)

    def failed(self, test, error):
        self.verdict = "fail"
        print(f"@judge {test.id()}: {self._exc_info_to_string(error, test)}",
              file=self.err, flush=True)

    def addError(self, test, error):
        self.failed(test, error)

    def addFailure(self, test, error):
        self.failed(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.failed(subtest, error)

    def addUnexpectedSuccess(self, test):
        self.verdict = "fail"

    def addSkip(self, test, reason):
        if self.verdict == "pass":
            self.verdict = "skip"
        print(f"@judge {test.id()}: skipped: {reason}", file=self.err, flush=True)


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def main(module, limit, last=None):
    # What takes long is run too; files of gigabytes are not.
    support.use_resources = ["cpu", "network", "subprocess", "walltime"]
    support.verbose = 0
    os.chdir(tempfile.mkdtemp(prefix="judge"))
    tests = list(flat(unittest.defaultTestLoader.loadTestsFromName(module)))
    if last is not None:
        del tests[: [test.id() for test in tests].index(last) + 1]
    verdicts = Verdicts(float(limit))
    unittest.TestSuite(tests).run(verdicts)
    os.write(verdicts.out, b"\n@judge end\n")


# Children of multiprocessing that are spawned import this file.
if __name__ == "__main__":
    main(*sys.argv[1:])
