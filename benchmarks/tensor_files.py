"""Small safetensors files, read and written with nothing but Python: inputs and outputs of the journeys of this folder."""
import array
import json
import pathlib
import sys


def header_bytes(header):
    """The beginning of a safetensors file: its length and `header` as JSON, padded so that data are aligned."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_floats(path):
    """{name: (shape, values)} of a safetensors file that holds F32 alone."""
    data = pathlib.Path(path).read_bytes()
    begin_of_data = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin_of_data])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            sys.exit(f"{path}: tensor '{name}' is {entry['dtype']}, but F32 was expected")
        begin, end = (begin_of_data + offset for offset in entry["data_offsets"])
        tensors[name] = (entry["shape"], array.array("f", data[begin:end]))
    return tensors


def write_integers(path, name, rows):
    """Writes one tensor of int64."""
    data = array.array("q", [value for row in rows for value in row]).tobytes()
    entry = {"dtype": "I64", "shape": [len(rows), len(rows[0])], "data_offsets": [0, len(data)]}
    pathlib.Path(path).write_bytes(header_bytes({name: entry}) + data)


def largest_difference(ours, peers, tolerance=1e-5):
    """The largest |ours - peer's| as a share of tolerance * (1 + |peer's|); a message where names or shapes differ."""
    if {name: shape for name, (shape, _) in ours.items()} != {name: shape for name, (shape, _) in peers.items()}:
        return None, f"names or shapes differ: {sorted(ours)} and {sorted(peers)}"
    share = 0.0
    for name, (_, want) in peers.items():
        for got, expected in zip(ours[name][1], want):
            error = abs(got - expected) / (tolerance * (1 + abs(expected)))
            share = max(share, error) if error == error else float("inf")
    return share, None
