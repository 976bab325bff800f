"""Answers that people would give to the exercises of chapter 02, and what they should be told."""

from __future__ import annotations

from collections.abc import Mapping

from bookkit.exercises import wrong


@wrong("pack", says="fill ant first")
def spreads(nodes: Mapping[str, int], used: Mapping[str, int]) -> str | None:
    room = {node: size - used.get(node, 0) for node, size in nodes.items()}
    free = [node for node in sorted(room) if room[node] > 0]
    return max(free, key=lambda node: room[node], default=None)


@wrong("pack", says="the room that is left")
def first_with_room(nodes: Mapping[str, int], used: Mapping[str, int]) -> str | None:
    return next((node for node in sorted(nodes) if nodes[node] > used.get(node, 0)), None)


@wrong("pack", says="no choice")
def takes_full_ones(nodes: Mapping[str, int], used: Mapping[str, int]) -> str | None:
    return min(sorted(nodes), key=lambda node: nodes[node] - used.get(node, 0), default=None)


@wrong("pack", says="first in the alphabet")
def order_of_the_dict(nodes: Mapping[str, int], used: Mapping[str, int]) -> str | None:
    room = {node: size - used.get(node, 0) for node, size in nodes.items()}
    free = [node for node in nodes if room[node] > 0]
    return min(free, key=lambda node: room[node], default=None)


@wrong("surge", says="add one first")
def takes_away_first(wanted: Mapping[str, object], running: Mapping[str, str]) -> object:
    old = sorted(name for name, version in running.items() if version != wanted["version"])
    return ("stop", old[0]) if old else "start" if len(running) < int(str(wanted["copies"])) else None


@wrong("surge", says="first old one may go")
def adds_all_at_once(wanted: Mapping[str, object], running: Mapping[str, str]) -> object:
    copies = int(str(wanted["copies"]))
    good = sorted(name for name, version in running.items() if version == wanted["version"])
    old = sorted(set(running) - set(good))
    if len(good) < copies:
        return "start"
    return ("stop", old[0]) if old else ("stop", good[-1]) if len(good) > copies else None


@wrong("surge", says="the last one goes")
def forgets_the_surplus(wanted: Mapping[str, object], running: Mapping[str, str]) -> object:
    copies = int(str(wanted["copies"]))
    good = [name for name, version in running.items() if version == wanted["version"]]
    old = sorted(set(running) - set(good))
    if len(good) < copies and len(running) <= copies:
        return "start"
    return ("stop", old[0]) if old else None
