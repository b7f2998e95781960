"""How scripts that draw cases have a C++ test take them: in the place of the golden ones."""
import argparse
import os
import subprocess


def parse_arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--golden", action="store_true")
    return parser.parse_args()


def passes(test, variable, folder, *flags):
    """Whether the test of //modeling passes on the cases of `folder`, which $`variable` names; prints what it says if not."""
    run = subprocess.run([f"bazel-bin/modeling/{test}", *flags], env={**os.environ, variable: str(folder)}, capture_output=True,
                         text=True, check=False)
    if run.returncode != 0:
        print(run.stdout[-4000:], run.stderr[-2000:])
        print(f"{test} fails; the cases are in {folder}")
    return run.returncode == 0
