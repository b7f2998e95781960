#!/usr/bin/env python3
"""Lets torch 2.1.0 from the package index start without 2 GB of NVIDIA libraries.

usage: cuda_stand_ins.py SITE_PACKAGES

That wheel is a CUDA build, and the loader wants every library its libraries name and every symbol they take from them,
though nothing on the CPU calls one. For each library that is named and nowhere to be found, this compiles one of the
same name into torch/lib, where every wanted symbol is a function that aborts.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# Whose symbols carry no version that names the library: these begin with a prefix.
UNVERSIONED_PREFIX = {"libnccl.so.2": "nccl"}


def read_elf(flag, path):
    return subprocess.run(["readelf", "--wide", flag, path], capture_output=True, text=True, check=True).stdout


def needed(path):
    """The libraries that a shared object names."""
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", read_elf("--dynamic", path)))


def undefined(path):
    """(name, version) of the symbols that a shared object takes from others; the version is '' where there is none."""
    for line in read_elf("--dyn-syms", path).splitlines():
        match = re.match(r"\s*\d+:.*\sUND\s+([\w$.]+)(?:@+([\w.]+))?", line)
        if match:
            yield match.group(1), match.group(2) or ""


def on_this_machine():
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^\s+(\S+) \(", listing, re.MULTILINE))


def build(folder, soname, names):
    """Compiles a library whose functions abort, its symbols versioned with its own name as NVIDIA does."""
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch, "stand_in.c")
        functions = "".join(f"void {name}(void) {{ abort(); }}\n" for name in sorted(names))
        source.write_text("#include <stdlib.h>\n" + functions)
        versions = pathlib.Path(scratch, "versions")
        versions.write_text(f"{soname} {{ global: *; }};\n")
        command = ["gcc", "-shared", "-fPIC", "-O1", "-w", f"-Wl,-soname,{soname}", source, "-o", folder / soname]
        if soname not in UNVERSIONED_PREFIX:
            command.append(f"-Wl,--version-script={versions}")
        subprocess.run(command, check=True)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    site = pathlib.Path(sys.argv[1])
    folder = site / "torch" / "lib"
    objects = sorted(folder.glob("*.so*"))
    present = {path.name for path in [*objects, *site.glob("nvidia/*/lib/*")]} | on_this_machine()
    present.add("libcuda.so.1")  # The driver's: only what asks for a GPU opens it, and should not find one.
    missing = {soname: set() for path in objects for soname in needed(path) if soname not in present}
    for path in objects:
        for name, version in undefined(path):
            for soname, names in missing.items():
                prefix = UNVERSIONED_PREFIX.get(soname)
                if version == soname or (not version and prefix and name.startswith(prefix)):
                    names.add(name)
    for soname, names in sorted(missing.items()):
        build(folder, soname, names)
        print(f"{soname}: stands in with {len(names)} symbols")
    return 0


if __name__ == "__main__":
    sys.exit(main())
