"""An env asked for on the wrong platform is an error here, not a skip.

tox itself skips an env whose `platform` does not match. That is right for a bare `tox`, which runs
what this machine can; but `tox -e linux-epoll,macos-kqueue` would skip the second and still exit 0,
and nobody would learn that what they asked for never ran. tox loads this file by its name, as an
inline plugin: https://tox.wiki/en/latest/plugins.html
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from tox.plugin import impl
from tox.report import HandledError

if TYPE_CHECKING:
    from tox.config.sets import EnvConfigSet
    from tox.session.state import State

_RUNNING_COMMANDS = {"run", "r", "run-parallel", "p", "legacy", "le", "exec", "e", "devenv", "d"}


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Refuse an env that was named on the command line or in TOXENV and cannot run here."""
    options = state.conf.options
    asked = set(options.env) if getattr(options, "env", None) else set()
    if options.command not in _RUNNING_COMMANDS or env_conf.name not in asked:
        return
    wanted: str = env_conf["platform"]
    if wanted and not re.fullmatch(wanted, sys.platform):
        raise HandledError(
            f"{env_conf.name} runs only where sys.platform matches {wanted!r};"
            f" this machine is {sys.platform!r}. Nothing was run."
        )
