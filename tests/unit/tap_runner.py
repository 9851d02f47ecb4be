"""Runs the unit tests of the program that calls main(), and says how they went as meson reads it."""
import sys
import unittest


class _Tap(unittest.TestResult):
    """One line a test, as the Test Anything Protocol has it."""

    def stopTest(self, test):
        super().stopTest(test)
        # What fails in a subTest() is told of that, which knows the test that it belongs to.
        failed = [f"{case}\n{text}" for case, text in self.failures + self.errors if getattr(case, "test_case", case) is test]
        print("not ok" if failed else "ok", self.testsRun, "-", test.id().split(".", 1)[1])
        for line in "".join(failed).splitlines():
            print("#", line)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}")
    outcome = _Tap()
    suite.run(outcome)
    sys.exit(0 if outcome.wasSuccessful() else 1)
