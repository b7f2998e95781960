"""Writes byte_sizes.json: what transformers makes of values of max_shard_size.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install transformers==4.34.0
    /tmp/peer/bin/python checkpoint/testdata/make_byte_sizes.py
"""
import json
import os

from transformers.utils.hub import convert_file_size_to_int

SIZES = """123|1GB|1gb|1Gb|1GiB|1gib|1.5GB|5MB|5Mb|5MiB|7KB|7Kb|7KiB|0.5KB|GB|
1 GB| 1GB|1TB|1B|-1GB|0MB|1e3MB|nanGB|1,5GB|1gB|1kib|1KIB|9Gib|3kB|3mb|3MB |
1_000MB|1__0MB|_1MB|1_MB|+5GB|+ 5GB|--5GB|0x10MB|007KB|5 \tMB|5KBB|5GiBB|
KiB|iB|b|5b|15kb|1Kb|0GiB|-0GB|12MiB | """.replace("\n", "").split("|")

rows = []
for size in SIZES:
    try:
        rows.append({"size": size, "transformers": convert_file_size_to_int(size)})
    except ValueError as error:
        rows.append({"size": size, "transformers": {"raises": str(error)}})
path = os.path.join(os.path.dirname(__file__), "byte_sizes.json")
with open(path, "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
