"""Tell somebody that a run has failed: a command, a webhook, or both.

An alert never changes how the run ends: one that fails is logged. It holds neither personal data nor secrets.
"""

import json
import logging
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPException

from attune.config import OnFailure
from attune.errors import SettingsError
from attune.redaction import safe_text
from attune.secrets import is_reference, read_secret

_TIMEOUT_SECONDS = 10
_MOST_CHARS = 2000
"""Of an error in the text of a message: chats cut or refuse long ones."""
_log = logging.getLogger("attune")


@dataclass(frozen=True)
class Failure:
    """What is told of a run that failed."""

    job: str
    exit_status: int
    error: str
    run_id: str | None = None  # None: the run could not even begin
    summary: str | None = None  # path of its summary.json
    status: str = "failed"

    def facts(self) -> dict[str, object]:
        """Everything as plain values, safe to be told, with ``text`` for people."""
        facts = {name: safe_text(value) if isinstance(value, str) else value for name, value in asdict(self).items()}
        error, where = str(facts["error"])[:_MOST_CHARS], f"\n{self.summary}" if self.summary else ""
        text = f"attune {self.job} failed with exit status {self.exit_status}: {error}{where}"
        return {"text": text, **facts}


def tell(hooks: OnFailure, failure: Failure) -> None:
    """Run the command and post to the webhook, whichever are set, with ten seconds for each."""
    facts = failure.facts()
    if hooks.command is not None:
        _try("command", lambda: _run(hooks.command or "", facts))
    if hooks.webhook is not None:
        _try("webhook", lambda: _post(_address(hooks.webhook or ""), facts))


def _try(hook: str, call: Callable[[], None]) -> None:
    try:
        call()
    except (OSError, HTTPException, ValueError, subprocess.SubprocessError) as error:
        if isinstance(error, subprocess.TimeoutExpired):
            told = f"no end within {_TIMEOUT_SECONDS} s"
        else:
            told = safe_text(str(error)) or type(error).__name__
        _log.warning("on_failure.%s failed, so that nobody was told: %s", hook, told)
    else:
        _log.info("on_failure.%s has been told of the failure", hook)


def _run(command: str | list[str], facts: dict[str, object]) -> None:
    """Raises OSError where the command cannot be started or fails, TimeoutExpired where it does not end."""
    names = ("run_id", "job", "status", "exit_status", "error", "summary")
    variables = {f"ATTUNE_{name.upper()}": "" if facts[name] is None else str(facts[name]) for name in names}
    with subprocess.Popen(
        command, shell=isinstance(command, str), env=os.environ | variables, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(json.dumps(facts, ensure_ascii=False).encode(), _TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # what a shell has started holds its output open
            raise
    if process.returncode:
        said = (err or out).decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise OSError(f"exit status {process.returncode}: {said[:300]}")


def _address(webhook: str) -> str:
    """URL of a webhook. Raises SettingsError where it is none, or a reference to nothing."""
    url = read_secret(webhook, "on_failure.webhook") if is_reference(webhook) else webhook
    if not re.match("https?://", url):
        raise SettingsError(f"setting on_failure.webhook: {webhook} holds no URL that starts with https://")
    return url.strip()


def _post(url: str, facts: dict[str, object]) -> None:
    """Raises OSError where the answer is not one of success; a redirect is none, for it would lose what was sent."""
    request = urllib.request.Request(
        url, json.dumps(facts).encode(), {"Content-Type": "application/json", "User-Agent": "attune"}, method="POST"
    )
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_SECONDS):
        pass


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Never followed."""
