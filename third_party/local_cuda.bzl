"""The CUDA Toolkit of this machine, for --config=cuda."""

def _local_cuda_impl(ctx):
    root = ctx.os.environ.get("CUDA_HOME", "") or "/usr/local/cuda"
    if not ctx.path(root + "/include/cuda_runtime_api.h").exists:
        fail(("@local_cuda: there is no CUDA Toolkit at {}; install version 13.0, or set " +
              "CUDA_HOME; without --config=cuda none is needed").format(root))
    ctx.symlink(root + "/include", "include")
    ctx.symlink(root + "/lib64/libcudart.so", "lib/libcudart.so")
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.symlink(ctx.attr.build_file, "BUILD.bazel")

local_cuda = repository_rule(
    implementation = _local_cuda_impl,
    attrs = {
        "build_file": attr.label(
            default = Label("//third_party/cuda:local_cuda.BUILD"),
            allow_single_file = True,
        ),
    },
    environ = ["CUDA_HOME"],
    local = True,
)
