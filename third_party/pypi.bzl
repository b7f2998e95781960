"""Released files of the Python package index, pinned by SHA-256.

The index is the one that pip is configured with; the file is kept in a store by
hash (see fetch_archive.py), so that it is downloaded once a machine.
"""

def fetch_archive(ctx, project, file, sha256, strip_prefix = "", include = [], exclude = []):
    """Unpacks parts of one released file into the repository `ctx` is making.

    Args:
      ctx: the repository context.
      project: the project's name in the index.
      file: the released file's name: an sdist or a wheel.
      sha256: its hash.
      strip_prefix: what member names start with, and lose.
      include: globs of stripped names to unpack; all when empty.
      exclude: globs of stripped names to leave out.
    """
    arguments = [
        "--project=" + project,
        "--file=" + file,
        "--sha256=" + sha256,
        "--strip_prefix=" + strip_prefix,
        "--destination=" + str(ctx.path(".")),
    ]
    arguments += ["--include=" + glob for glob in include]
    arguments += ["--exclude=" + glob for glob in exclude]
    ctx.report_progress("fetching " + file)
    result = ctx.execute(
        ["python3", ctx.path(Label("//third_party:fetch_archive.py"))] + arguments,
        timeout = 1800,
    )
    if result.return_code != 0:
        fail("@{}: {}{}".format(ctx.name, result.stdout, result.stderr))

def _pypi_archive_impl(ctx):
    fetch_archive(
        ctx,
        project = ctx.attr.project,
        file = ctx.attr.file,
        sha256 = ctx.attr.sha256,
        strip_prefix = ctx.attr.strip_prefix,
        include = ctx.attr.include,
        exclude = ctx.attr.exclude,
    )
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.symlink(ctx.attr.build_file, "BUILD.bazel")

pypi_archive = repository_rule(
    implementation = _pypi_archive_impl,
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True),
        "exclude": attr.string_list(),
        "file": attr.string(mandatory = True),
        "include": attr.string_list(),
        "project": attr.string(mandatory = True),
        "sha256": attr.string(mandatory = True),
        "strip_prefix": attr.string(),
    },
    environ = ["PRETRAINED_DOWNLOADS"],
)
