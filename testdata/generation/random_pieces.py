#!/usr/bin/env python3
"""Holds generation's pieces to transformers 4.34.0 on many random cases, beyond the stored ones.

    bazel build //generation:golden_processors_test //generation:beam_search_scorer_test //generation:processors_from_config_test
    python random_pieces.py [--seed N] [--rounds N]     from the root of the workspace, after building

A round makes new cases of every processor, of searches and of configs, and runs those tests on them. The first round
that fails leaves its cases where it says. Needs the Python environment of the golden data (../requirements.txt).
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import torch

import pieces

TESTS = ("golden_processors_test", "beam_search_scorer_test", "processors_from_config_test")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for seed in range(args.seed, args.seed + args.rounds):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pieces_"))
        pieces.write_cases(folder, seed, processors=50, searches=500, configs=500)
        for test in TESTS:
            run = subprocess.run([f"bazel-bin/generation/{test}"], env={**os.environ, "GENERATION_CASES": str(folder)},
                                 capture_output=True, text=True)
            if run.returncode != 0:
                print(run.stdout[-4000:], run.stderr[-2000:])
                sys.exit(f"seed {seed}: {test} fails; the cases are in {folder}")
        subprocess.run(["rm", "-r", str(folder)], check=True)
        print(f"seed {seed}: {50 * len(pieces.NAMES)} processors, 500 searches, 500 configs agree", flush=True)


if __name__ == "__main__":
    main()
