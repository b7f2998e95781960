#!/usr/bin/env python3
"""Writes the golden data of generation's pieces: what transformers 4.34.0 makes of scores, searches and configs.

    pip install --no-deps -r ../requirements.txt   (or benchmarks/peers/setup_venv.sh DEST)
    python make_pieces_golden.py            writes processors.*, processor_configs.json, beam_searches.json here
    python make_pieces_golden.py --check    writes nothing; fails if the files differ from what the peer says now
"""
import pathlib
import sys
import tempfile

import torch
import transformers

import pieces

HERE = pathlib.Path(__file__).resolve().parent


def main():
    assert transformers.__version__ == "4.34.0", transformers.__version__
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        made = pathlib.Path(temporary)
        pieces.write_cases(made, seed=434, processors=8, searches=60, configs=60)
        different = 0
        for path in sorted(made.iterdir()):
            kept = HERE / path.name
            if "--check" not in sys.argv[1:]:
                kept.write_bytes(path.read_bytes())
            elif not kept.exists() or kept.read_bytes() != path.read_bytes():
                print(f"{path.name} differs")
                different += 1
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
