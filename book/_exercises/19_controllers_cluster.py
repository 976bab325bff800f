"""Checks for the exercises of "Who cleans up?"."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import Answer, exercise


@exercise
def fate(answer: Answer) -> None:
    answer(["there"]).gives("keep", hint="It has an owner, and the owner is there.")
    answer(["gone"]).gives("delete", hint="Its only owner is gone.")
    answer(["there", "gone"]).gives("disown", hint="One owner is enough to stay. The reference to the other one leads nowhere.")
    answer([]).gives("keep", hint="An object that never had an owner belongs to itself. Most objects are like that.")
    answer(["waiting"]).gives("delete", hint="An owner that waits for this object to go is no reason to stay: it would wait forever.")
    answer(["there", "waiting"]).gives("disown", hint="One owner stays, the other waits only for this object to let go of it.")
    answer(["gone", "waiting"]).gives("delete", hint="Neither of these two is a reason to stay.")
    answer(["there", "there"]).gives("keep", hint="All owners are there.")


def pod(**more: Any) -> dict[str, Any]:
    """A pod that serves, but for what is said."""
    return {"labels": {"app": "web"}, "phase": "Running", "ready": True, "deleted": False, "ip": "10.0.0.1"} | more


@exercise
def behind(answer: Answer) -> None:
    web = {"app": "web"}
    answer(web, [pod(ip="10.0.0.2"), pod()]).gives(["10.0.0.1", "10.0.0.2"], hint="Two pods serve. Sorted, please.")
    answer(web, []).gives([], hint="Nobody is there: an empty list.")
    answer(web, [pod(ready=False)]).gives([], hint="Running is not Ready: this pod says that it can't serve.")
    answer(web, [pod(deleted=True)]).gives([], hint="A pod that is being deleted gets nobody new, even if it still serves.")
    answer(web, [pod(ip="")]).gives([], hint="A pod without an address can't be sent to.")
    answer(web, [pod(phase="Succeeded")]).gives([], hint="This pod has ended. Its last word was that it was ready.")
    answer(web, [pod(labels={"app": "web", "tier": "front"})]).gives(
        ["10.0.0.1"], hint="A selector names labels that have to be there. Others may be there, too.")
    answer({"app": "web", "tier": "front"}, [pod()]).gives([], hint="Every label of the selector has to be there.")


@exercise
def evictable(answer: Answer) -> None:
    answer(2, 4, 4).gives(2, hint="Four serve, two must stay.")
    answer(3, 4, 2).gives(0, hint="Fewer serve than must stay. There is no such thing as minus one eviction.")
    answer("50%", 4, 4).gives(2, hint="Half of four must stay.")
    answer("50%", 5, 5).gives(2, hint="Half of five is two and a half: rounded up, three must stay.")
    answer("50%", 4, 2).gives(0, hint="Half of what is *wanted* must stay, not half of what is left. Else a budget shrinks with each pod that goes.")
    answer("100%", 3, 3).gives(0, hint="All of them must stay.")
    answer(0, 3, 3).gives(3, hint="Nothing must stay.")
