"""What the checks of this folder share: findings of the repository's own tree, and made-up trees that show that each
rule can fail (`--self-test`)."""
import contextlib
import pathlib
import subprocess
import sys
import tempfile

PRODUCT = ("common", "control", "dataplane", "tools", "lab", "perf")


@contextlib.contextmanager
def made_up(files):
    """The root of a repository that holds them: {path: text}."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        subprocess.run(["git", "-C", name, "init", "-q"], check=True)
        yield root


def missed(found, places):
    """Of a self-test: the places that no finding names."""
    return [f"no finding for {place}" for place in places if not any(place in finding for finding in found)]


def main(what, findings, self_test):
    """findings(root) yields a line each; self_test() gives what went wrong. Ends the program: 1 if there is any."""
    if "--self-test" in sys.argv:
        found, sound = [f"self-test: {each}" for each in self_test()], "self-test: each rule can fail"
    else:
        found, sound = list(findings(pathlib.Path(__file__).resolve().parents[2])), f"{what}: sound"
    print("\n".join(found) or sound)
    sys.exit(1 if found else 0)
