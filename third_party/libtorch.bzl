"""LibTorch: from the pinned wheel, or the one that LIBTORCH names.

LIBTORCH is a folder with include/ and lib/, such as an unpacked LibTorch
distribution or the `torch` folder of a Python installation. Its version must be
2.11: set it with `--repo_env=LIBTORCH=/opt/libtorch`, or in the environment.
"""

load("//third_party:pypi.bzl", "fetch_archive")

_TORCH = {
    "file": "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    "project": "torch",
    "sha256": "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
}

_VERSION = "2.11."

# libtorch_cpu.so of that wheel asks for these two at start, also without a GPU.
_CUDA_RUNTIME = {
    "file": "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "project": "nvidia-cuda-runtime",
    "sha256": "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
}

_CUDA_CUPTI = {
    "file": "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
    "project": "nvidia-cuda-cupti",
    "sha256": "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
}

def _defined(text, name):
    """The number that a C header defines `name` as; empty if it does not."""
    for line in text.splitlines():
        words = line.split(" ")
        if words[0] == "#define" and len(words) == 3 and words[1] == name:
            return words[2]
    return ""

def _installed(ctx):
    """The folder that LIBTORCH names, checked; None when it is not set."""
    root = ctx.os.environ.get("LIBTORCH", "")
    if not root:
        return None
    version = "unknown: it has no header that tells"
    for name in ["headeronly/version.h", "csrc/api/include/torch/version.h"]:
        header = ctx.path(root + "/include/torch/" + name)
        text = ctx.read(header) if header.exists else ""
        parts = [_defined(text, "TORCH_VERSION_" + part) for part in ["MAJOR", "MINOR", "PATCH"]]
        if all(parts):
            version = ".".join(parts)
            break
    if not version.startswith(_VERSION):
        fail("LIBTORCH={}: its version is {}, but {}* is expected".format(root, version, _VERSION))
    return root

def _installed_linkopts(root, libraries):
    """Links an installed LibTorch where it is: it finds its own libraries from there."""
    return [
        "-L" + root + "/lib",
        "-Wl,-rpath," + root + "/lib",
        "-Wl,--no-as-needed",
        "-Wl,--unresolved-symbols=ignore-in-shared-libs",
    ] + ["-l" + name for name in libraries]

def _finish(ctx, build_file, linkopts):
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.template("BUILD.bazel", build_file, {"%{linkopts}": repr(linkopts)})

def _libtorch_impl(ctx):
    root = _installed(ctx)
    linkopts = []
    if root:
        ctx.symlink(root + "/include", "include")
        linkopts = _installed_linkopts(root, ["torch_cpu", "c10"])
    else:
        fetch_archive(
            ctx,
            strip_prefix = "torch/",
            include = ["include/*", "lib/libtorch_cpu.so", "lib/libc10.so", "lib/libgomp.so.1"],
            # An old protobuf, which would hide the real one.
            exclude = ["include/google/*"],
            **_TORCH
        )
        for wheel in [_CUDA_RUNTIME, _CUDA_CUPTI]:
            fetch_archive(
                ctx,
                strip_prefix = "nvidia/cu13/",
                include = ["lib/libcudart.so.13", "lib/libcupti.so.13"],
                **wheel
            )
    _finish(ctx, ctx.attr.build_file, linkopts)

libtorch = repository_rule(
    implementation = _libtorch_impl,
    attrs = {
        "build_file": attr.label(default = Label("//third_party/libtorch:libtorch.BUILD")),
    },
    environ = ["LIBTORCH", "PRETRAINED_DOWNLOADS"],
)

def _libtorch_cuda_impl(ctx):
    root = _installed(ctx)
    libraries = ["torch_cuda", "c10_cuda"]
    linkopts = ["-Wl,--no-as-needed", "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    if root:
        linkopts = _installed_linkopts(root, libraries)
    else:
        fetch_archive(
            ctx,
            strip_prefix = "torch/",
            include = ["lib/lib{}.so".format(name) for name in libraries],
            **_TORCH
        )
    _finish(ctx, ctx.attr.build_file, linkopts)

libtorch_cuda = repository_rule(
    implementation = _libtorch_cuda_impl,
    attrs = {
        "build_file": attr.label(default = Label("//third_party/libtorch:libtorch_cuda.BUILD")),
    },
    environ = ["LIBTORCH", "PRETRAINED_DOWNLOADS"],
)
