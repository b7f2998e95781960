#!/usr/bin/env python3
"""Lets torch from the package index start without 2 GB and more of NVIDIA libraries.

usage: cuda_stand_ins.py SITE_PACKAGES

That wheel is a CUDA build, and the loader wants every library its libraries name and every symbol they take from them,
though nothing on the CPU calls one. For each NVIDIA library that is named and not in SITE_PACKAGES, this compiles one of
the same name into torch/lib, where every wanted symbol is a function that aborts. An installed CUDA Toolkit is not used,
so that an environment is the same on every machine.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# Whose symbols carry no version that names the library: these begin with a prefix.
UNVERSIONED_PREFIX = {"libnccl.so.2": "nccl", "libcusparseLt.so.0": "cusparseLt", "libcufile.so.0": "cuFile"}
NVIDIA = re.compile(r"lib(cuda|cudnn|cublas|cufft|cufile|cupti|curand|cusolver|cusparse|nccl|nv)")
DRIVER = "libcuda.so.1"  # Only what asks for a GPU opens it, and should not find one.


def read_elf(flag, path):
    return subprocess.run(["readelf", "--wide", flag, path], capture_output=True, text=True, check=True).stdout


def needed(path):
    """The libraries that a shared object names."""
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", read_elf("--dynamic", path)))


def wanted_versions(path):
    """{version: library} of the symbol versions that a shared object asks of others."""
    library, versions = "", {}
    for line in read_elf("--version-info", path).splitlines():
        if file := re.search(r"Version: \d+\s+File: (\S+)", line):
            library = file.group(1)
        elif name := re.search(r"^\s+0x[0-9a-f]+:\s+Name: (\S+)", line):
            versions.setdefault(name.group(1), library)
    return versions


def undefined(path):
    """(name, version) of the symbols that a shared object takes from others; the version is '' where there is none."""
    for line in read_elf("--dyn-syms", path).splitlines():
        match = re.match(r"\s*\d+:.*\sUND\s+([\w$.]+)(?:@+([\w.]+))?", line)
        if match:
            yield match.group(1), match.group(2) or ""


def build(folder, soname, version, names):
    """Compiles a library whose functions abort, its symbols of the version that is asked for; of none where it is ''."""
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch, "stand_in.c")
        functions = "".join(f"void {name}(void) {{ abort(); }}\n" for name in sorted(names))
        source.write_text("#include <stdlib.h>\n" + functions)
        versions = pathlib.Path(scratch, "versions")
        versions.write_text(f"{version} {{ global: *; }};\n")
        command = ["gcc", "-shared", "-fPIC", "-O1", "-w", f"-Wl,-soname,{soname}", source, "-o", folder / soname]
        if version:
            command.append(f"-Wl,--version-script={versions}")
        subprocess.run(command, check=True)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    site = pathlib.Path(sys.argv[1])
    folder = site / "torch" / "lib"
    objects = sorted(folder.glob("*.so*"))
    present = {path.name for path in [*objects, *site.glob("nvidia/*/lib/*")]} | {DRIVER}
    missing = {soname: {"version": "", "names": set()} for path in objects for soname in needed(path)
               if NVIDIA.match(soname) and soname not in present}
    for path in objects:
        versions = wanted_versions(path)
        for name, version in undefined(path):
            for soname, wanted in missing.items():
                prefix = UNVERSIONED_PREFIX.get(soname)
                if version and versions.get(version) == soname:
                    wanted["version"] = version
                    wanted["names"].add(name)
                elif not version and prefix and name.startswith(prefix):
                    wanted["names"].add(name)
    for soname, wanted in sorted(missing.items()):
        build(folder, soname, **wanted)
        print(f"{soname}: stands in with {len(wanted['names'])} symbols")
    return 0


if __name__ == "__main__":
    sys.exit(main())
