#!/usr/bin/env python3
"""Writes defaults.json: what transformers 4.34.0 gives a config that was told nothing.

    python make_golden.py

Needs ../requirements.txt. Writes, beside this file, defaults.json: {"PretrainedConfig": {..}, "BertConfig": {..}}, each
what to_dict() of a newly made one returns, but for `transformers_version`, in the order of to_dict().
"""
import json
import pathlib
import sys

import transformers
from transformers import BertConfig, PretrainedConfig


def main():
    if sys.argv[1:]:
        print(__doc__)
        return 0 if sys.argv[1:] in (["--help"], ["-h"]) else 2
    if transformers.__version__ != "4.34.0":
        sys.exit("transformers 4.34.0 is needed")
    document = {}
    for config_class in (PretrainedConfig, BertConfig):
        attributes = config_class().to_dict()
        attributes.pop("transformers_version")
        document[config_class.__name__] = attributes
    path = pathlib.Path(__file__).resolve().parent / "defaults.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
