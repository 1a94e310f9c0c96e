"""The people's side of the demo: a bare remote, and a clone in which somebody commits.

Separate from the story. It uses the git command, as people do, with an identity of its own and
none of the reader's configuration.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from reconciler.demo.narration import StepFailed

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


class Workshop:
    """A clone of the config repository, and the bare repository that it pushes to."""

    def __init__(self, directory: Path, *, example: Path) -> None:
        self.remote = directory / "config.git"
        self.clone = directory / "config"
        shutil.copytree(example, self.clone)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.git("remote", "add", "origin", str(self.remote))
        self.commit("Declare the platform and seven models")

    def git(self, *arguments: str) -> str:
        """Run git in the clone. Raises StepFailed with what it said."""
        result = subprocess.run(
            ["git", *arguments],
            cwd=self.clone,
            env={**os.environ, **_IDENTITY},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if result.returncode != 0:
            raise StepFailed(f"git {arguments[0]} failed: {result.stderr.strip()}")
        return result.stdout.strip()

    def edit(self, path: str, before: str, after: str) -> None:
        """Replace a text that is in the file exactly once."""
        file = self.clone / path
        text = file.read_text()
        if text.count(before) != 1:
            raise StepFailed(f"{path} does not hold {before!r} exactly once")
        file.write_text(text.replace(before, after))

    def replace_pin(self, path: str, *, image: str) -> None:
        """Let the first container image of a file be a tag, where it was a digest."""
        file = self.clone / path
        text, count = re.subn(r"(image: \S+)@sha256:\w+", rf"\1:{image}", file.read_text(), count=1)
        if count != 1:
            raise StepFailed(f"{path} pins no image")
        file.write_text(text)

    def commit(self, message: str) -> str:
        """Commit everything and push it; returns the SHA."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.push()

    def revert(self, sha: str) -> str:
        self.git("revert", "--no-edit", sha)
        return self.push()

    def pull(self) -> None:
        """Take in what was pushed meanwhile."""
        self.git("pull", "--quiet", "--ff-only", "origin", "main")

    def push(self) -> str:
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def show(self) -> str:
        return self.git("log", "--max-count=1", "--format=%h %an: %s", "--stat", "HEAD")
