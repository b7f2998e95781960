"""Libraries that Debian's own packages install, pinned by version."""

def require_packages(ctx, packages):
    """Fails, saying what to install, unless each package has its version.

    Args:
      ctx: the repository context.
      packages: package name to the prefix that its version must have.
    """
    missing = []
    for package, version in packages.items():
        result = ctx.execute(["dpkg-query", "-W", "-f=${db:Status-Abbrev}${Version}", package])
        installed = result.stdout if result.return_code == 0 else ""
        if not installed.startswith("ii "):
            missing.append("{} is not installed".format(package))
        elif not installed[3:].startswith(version):
            missing.append("{} is at {}, but {} is pinned".format(
                package,
                installed[3:],
                version.rstrip("-"),
            ))
    if missing:
        fail("@{}: {}; run tools/setup.sh, or: apt-get install {}".format(
            ctx.name,
            "; ".join(missing),
            " ".join(packages.keys()),
        ))

def _debian_library_impl(ctx):
    require_packages(ctx, ctx.attr.packages)
    for path, target in ctx.attr.links.items():
        ctx.symlink(target, path)
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    ctx.symlink(ctx.attr.build_file, "BUILD.bazel")

debian_library = repository_rule(
    implementation = _debian_library_impl,
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True),
        "links": attr.string_dict(doc = "Path here to path on the machine."),
        "packages": attr.string_dict(doc = "Debian package to version prefix."),
    },
    local = True,
)
