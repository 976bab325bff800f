"""The fixtures of labs/genuine."""

from __future__ import annotations

from genuine.pytest_plugin import genuine_control_plane, genuine_etcd, genuine_kind

__all__ = ["genuine_control_plane", "genuine_etcd", "genuine_kind"]
