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

def _installed(ctx):
    """The folder that LIBTORCH names, checked; None when it is not set."""
    root = ctx.os.environ.get("LIBTORCH", "")
    if not root:
        return None
    header = ctx.path(root + "/include/torch/version.h")
    if not header.exists:
        header = ctx.path(root + "/include/torch/headeronly/version.h")
    if not header.exists:
        fail("LIBTORCH={}: there is no include/torch/version.h in it".format(root))
    text = ctx.read(header)
    parts = text.split("#define TORCH_VERSION \"")
    if len(parts) < 2:
        parts = ctx.read(root + "/include/torch/headeronly/version.h").split("#define TORCH_VERSION \"")
    version = parts[1].split("\"")[0] if len(parts) > 1 else "unknown"
    if not version.startswith(_VERSION):
        fail("LIBTORCH={}: its version is {}, but {}x is expected".format(root, version, _VERSION))
    return root

def _finish(ctx, build_file, linkopts):
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.template("BUILD.bazel", build_file, {"%{linkopts}": repr(linkopts)})

def _libtorch_impl(ctx):
    root = _installed(ctx)
    linkopts = []
    if root:
        ctx.symlink(root + "/include", "include")
        for library in ctx.path(root + "/lib").readdir():
            name = library.basename
            if name in ["libtorch_cpu.so", "libc10.so"] or name.startswith("libgomp"):
                ctx.symlink(library, "lib/" + name)
        linkopts = ["-Wl,-rpath," + root + "/lib", "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
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
    libraries = ["libtorch_cuda.so", "libc10_cuda.so"]
    linkopts = ["-Wl,--no-as-needed", "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    if root:
        for name in libraries:
            ctx.symlink(root + "/lib/" + name, "lib/" + name)
        linkopts.append("-Wl,-rpath," + root + "/lib")
    else:
        fetch_archive(
            ctx,
            strip_prefix = "torch/",
            include = ["lib/" + name for name in libraries],
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
