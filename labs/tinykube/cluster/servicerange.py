"""A range of addresses for the Services of a cluster, that no other cluster on this machine has.

Genuine counterpart: kube-apiserver's option --service-cluster-ip-range, which an administrator chooses.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Network

SERVICES = "10.96.0.0/16"                              # where addresses of loopback are no choice
LOOPBACK = IPv4Network("127.96.0.0/11")                # 512 ranges of 4,096 addresses each
MARK = 6443                                            # who has this port at the first address has the range


class ServiceRange:
    """A range of loopback addresses, ours until it is closed. Where a system has but one of these, the usual range."""

    def __init__(self) -> None:
        self.mark: socket.socket | None = None
        self.network = IPv4Network(SERVICES)
        for network in LOOPBACK.subnets(new_prefix=20):
            mark = socket.socket()
            try:
                mark.bind((str(network[1]), MARK))
            except OSError as error:
                mark.close()
                if error.errno != errno.EADDRINUSE:
                    return
            else:
                self.mark, self.network = mark, network
                return

    def __str__(self) -> str:
        return str(self.network)

    def close(self) -> None:
        """Let others have the range."""
        if self.mark:
            self.mark.close()
            self.mark = None
