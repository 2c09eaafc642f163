"""Decides which hidden names, those that begin with a dot, may be known, and which never are.

A hidden file such as ``.gitignore`` is catalogued by its name alone: it is suggested to whoever
types its dot, and can be read, never changed. Its content is not indexed. Hidden folders and all
below them are left out, and so are hidden files

- that usually hold secrets: passwords, tokens and keys, and histories of what was typed, which
  hold them by accident; copies of such files too (``.env.bak``), but not the examples that
  projects give away (``.env.example``);
- that a program made for itself for a while: unfinished saves, locks and swap files of editors,
  leavings of file systems and desktops.
"""

from __future__ import annotations

import re

_PRIVATE = r"""
    \.(?:
        # What services are configured with, passwords among it.
        env | envrc | boto | s3cfg | databrickscfg | terraformrc
        # Who may log in, and with what: registries, databases, mail, the web, the screen.
      | npmrc | pypirc | netrc | authinfo | git-credentials | dockercfg | vault-token | my\.cnf
      | mylogin\.cnf | pgpass | rediscli_auth | fetchmailrc | msmtprc | offlineimaprc | mbsyncrc
      | curlrc | wgetrc | xauthority | iceauthority
        # What editors and pagers remember of what was typed.
      | viminfo | lesshst
    )(?:[.~_-].*)?
  | .*(?:secret|passw(?:or)?d|credential|token|history).*
  | .*\.(?:pem|key|p12|pfx|jks|kdbx|gpg)
"""
_EXAMPLE = r".*\.(?:example|sample|template)"
_PASSING = r"""
    \.[#~].* | \._.* | .*~ | .*\.(?:sw[a-px]|swpx|tmp|part|lock)
  | \.(?:goutputstream-|nfs0|fuse_hidden|com\.apple\.|ds_store|localized).*
  | \.git | \.\.?
"""
_NEVER = re.compile(f"(?!{_EXAMPLE}$)(?:{_PRIVATE})|{_PASSING}", re.VERBOSE | re.DOTALL)


def is_hidden(name: str) -> bool:
    """Whether one path component is hidden by its leading dot."""
    return name.startswith(".")


def is_left_out(name: str, *, is_folder: bool = False) -> bool:
    """Whether a file or folder of this name is hidden and not even known by its name."""
    return name.startswith(".") and (is_folder or _NEVER.fullmatch(name.lower()) is not None)
