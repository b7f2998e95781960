"""LibTorch's headers, read by the compiler once instead of by every file that includes them.

cc_library, cc_test and cc_binary here are Bazel's own, but what carries the tag "torch" and has sources finds
torch/nn/module.h precompiled where --define=pretrained_precompiled=true, which this workspace's .bazelrc says: some
10 seconds less for each file that includes it. A compiler that cannot use what was precompiled reads the header as ever.
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "CPP_COMPILE_ACTION_NAME")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

_PACKAGE = "third_party/libtorch"
_NAME = "torch_headers"

# g++ 12 sees std::string copied out of bounds where its header was precompiled.
_FALSE_WARNINGS = ["-Wno-array-bounds", "-Wno-restrict", "-Wno-stringop-overflow"]

def _precompiled_headers_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    compilation = cc_common.merge_cc_infos(
        cc_infos = [dep[CcInfo] for dep in ctx.attr.deps],
    ).compilation_context

    header = ctx.actions.declare_file(ctx.label.name + ".h")
    ctx.actions.write(header, "".join(["#include \"%s\"\n" % name for name in ctx.attr.includes]))

    precompiled = ctx.actions.declare_file(ctx.label.name + ".h.gch")
    variables = cc_common.create_compile_variables(
        cc_toolchain = toolchain,
        feature_configuration = features,
        source_file = header.path,
        output_file = precompiled.path,
        user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts,
        include_directories = compilation.includes,
        quote_include_directories = compilation.quote_includes,
        system_include_directories = compilation.system_includes,
        preprocessor_defines = compilation.defines,
        use_pic = True,
    )
    ctx.actions.run(
        executable = cc_common.get_tool_for_action(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
        ),
        # Before the header's name, for it is the kind of what follows.
        arguments = ["-x", "c++-header"] + cc_common.get_memory_inefficient_command_line(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
            variables = variables,
        ),
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
            variables = variables,
        ),
        inputs = depset([header], transitive = [compilation.headers, toolchain.all_files]),
        outputs = [precompiled],
        mnemonic = "PrecompileHeaders",
        progress_message = "Precompiling " + ", ".join(ctx.attr.includes),
    )
    return [CcInfo(compilation_context = cc_common.create_compilation_context(
        headers = depset([header, precompiled]),
    ))]

# Makes NAME.h, which includes `includes`, and NAME.h.gch, compiled with the flags that C++ files here are compiled with.
precompiled_headers = rule(
    implementation = _precompiled_headers_impl,
    attrs = {
        "includes": attr.string_list(mandatory = True),
        "deps": attr.label_list(providers = [CcInfo]),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)

def _with_headers(rule_function, arguments):
    if "torch" in arguments.get("tags", []) and "srcs" in arguments:
        setting = "//%s:precompiled" % _PACKAGE
        arguments["deps"] = arguments.get("deps", []) + select({
            setting: ["//%s:%s" % (_PACKAGE, _NAME)],
            "//conditions:default": [],
        })
        arguments["copts"] = arguments.get("copts", []) + select({
            setting: ["-include", "%s/%s.h" % (_PACKAGE, _NAME)] + _FALSE_WARNINGS,
            "//conditions:default": [],
        })
    rule_function(**arguments)

def cc_library(**arguments):
    _with_headers(native.cc_library, arguments)

def cc_test(**arguments):
    _with_headers(native.cc_test, arguments)

def cc_binary(**arguments):
    _with_headers(native.cc_binary, arguments)
