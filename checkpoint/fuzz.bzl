"""A fuzz target in three forms."""

def fuzz_target(name, corpus, data, deps):
    """Declares what `NAME.cc`, which defines LLVMFuzzerTestOneInput, is used for.

        NAME              a library, of the source file alone
        NAME_test         replays the files of `corpus` in every `bazel test`
        NAME_libfuzzer    looks for new ones:
                          bazel run --config=fuzz //FOLDER:NAME_libfuzzer -- \
                              CORPUS_FOLDER "$PWD/SEEDS" -max_total_time=60

    Args:
      name: ends in "_fuzz".
      corpus: files or folders of seeds, from the root of the workspace.
      data: targets that hold them.
      deps: of the source file.
    """
    native.cc_library(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        deps = deps,
        alwayslink = True,
    )
    native.cc_test(
        name = name + "_test",
        size = "small",
        srcs = ["//checkpoint:fuzz_replay_main.cc"],
        args = corpus,
        data = data,
        deps = [":" + name],
    )
    native.cc_binary(
        name = name + "_libfuzzer",
        testonly = True,
        linkopts = [
            "-fsanitize=fuzzer",
            # Bazel links with the C driver, which leaves UBSan's C++ half out.
            "-fsanitize-link-c++-runtime",
        ],
        tags = ["manual"],
        deps = [":" + name],
    )
