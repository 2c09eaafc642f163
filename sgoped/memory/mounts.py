"""Tells whether a folder lies on a network drive, where other machines' writes make no events."""

from __future__ import annotations

import os
from pathlib import Path

_NETWORK = frozenset(
    (
        *("9p", "afs", "ceph", "cifs", "coda", "davfs", "fuse.glusterfs", "fuse.rclone"),
        *("fuse.s3fs", "fuse.sshfs", "fuse.vmhgfs-fuse", "glusterfs", "ncpfs", "nfs", "nfs4"),
        *("prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs"),
    )
)


def network_filesystem(folder: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The file system's type when it is a network drive, else (or when unknown) empty.

    Args:
        folder: What to look up.
        mountinfo: The kernel's table of mounts, see proc(5).
    """
    try:
        device = folder.stat().st_dev
        table = mountinfo.read_text(errors="surrogateescape")
    except OSError:
        return ""
    return filesystem_of(f"{os.major(device)}:{os.minor(device)}", table)


def filesystem_of(device: str, table: str) -> str:
    """The network file system mounted from ``device`` (``major:minor``), else empty."""
    for line in table.splitlines():
        mount, _, source = line.partition(" - ")
        fields, types = mount.split(), source.split()
        if len(fields) > 2 and fields[2] == device and types and types[0] in _NETWORK:  # noqa: PLR2004 - third field
            return types[0]
    return ""
