"""Checks for the exercises of "Who answers at that address?"."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise

Slice = dict[str, Any]


def a_slice(service: str, *endpoints: tuple[str, bool | None]) -> Slice:
    """A slice of a service; an endpoint with None says nothing of its readiness."""
    return {"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": [
        {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}} for address, ready in endpoints]}


@exercise
def behind_service(answer: Answer) -> None:
    one, two = a_slice("web", ("10.0.0.2", True)), a_slice("web", ("10.0.0.1", True))
    answer("web", []).gives([], hint="No slice, nobody.")
    answer("web", [one]).gives(["10.0.0.2"])
    answer("web", [one, two]).gives(["10.0.0.1", "10.0.0.2"], hint="A Service may have many slices, and the answer is sorted.")
    answer("web", [one, a_slice("shop", ("10.0.0.9", True))]).gives(
        ["10.0.0.2"], hint="The collection holds the slices of all Services: the label says whose each one is.")
    answer("web", [a_slice("web", ("10.0.0.3", False), ("10.0.0.4", True))]).gives(
        ["10.0.0.4"], hint="10.0.0.3 is not ready: a connection to it would be refused.")
    answer("web", [a_slice("web", ("10.0.0.5", None))]).gives(
        ["10.0.0.5"], hint="An endpoint that says nothing of its readiness counts as ready.")


BACKENDS = [f"10.0.0.{n}" for n in range(1, 6)]
CLIENTS = [f"192.168.0.{n}" for n in range(1, 101)]


@exercise
def pick(answer: Answer) -> None:
    answer("ann", []).gives(None, hint="Without a backend there is nothing to pick: None.")
    answer("ann", ["10.0.0.1"]).gives("10.0.0.1")
    first = {client: answer(client, BACKENDS).satisfies(BACKENDS.__contains__, "one of the backends").result
             for client in CLIENTS}
    used = {backend: list(first.values()).count(backend) for backend in BACKENDS}
    answer(CLIENTS[0], BACKENDS).satisfies(
        lambda _: min(used.values()) >= 5, "each backend for some of 100 clients",
        hint=f"100 clients were shared out unevenly: {used}. Hash the names of client and backend together.")
    for client in CLIENTS:
        answer(client, BACKENDS[::-1]).gives(
            first[client], hint="The same client got another backend because the same list came in another order.")
    gone = BACKENDS[2]
    for client in CLIENTS:
        if first[client] != gone:
            answer(client, [each for each in BACKENDS if each != gone]).gives(
                first[client], hint=f"{gone} went, and this client was not one of its own. Only its own may move.")


@exercise
def chances(answer: Answer) -> None:
    answer(1).gives([1.0], hint="One backend: it gets all.")
    answer(2).gives([0.5, 1.0], hint="Half of all, and then all of the rest.")
    answer(3).gives([1 / 3, 0.5, 1.0], hint="A third; of the other two thirds a half, which is a third again; and the rest.")
    answer(0).gives([], hint="No backends, no rules.")
    answer(4).satisfies(lambda got: len(got) == 4 and got[0] == 0.25 and got[-1] == 1.0, "four rules, from 0.25 to 1.0", hint="The first of four is taken by one connection in four.")
