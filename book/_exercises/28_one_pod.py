"""Checks for the exercises of "One pod, told twice"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise

CREATE = ("kubectl", "POST", "pods", 201)
BIND = ("scheduler", "POST", "pods/web/binding", 201)
REPORT = ("kubelet", "PATCH", "pods/web/status", 200)


@exercise
def who_acted(answer: Answer) -> None:
    answer([CREATE, BIND, REPORT, REPORT]).gives(
        {"pod": "kubectl", "node": "scheduler", "status": "kubelet"}, hint="One creates, one binds, one reports.")
    answer([]).gives({}, hint="Nobody did anything: leave the keys out.")
    answer([CREATE]).gives({"pod": "kubectl"}, hint="A pod that nobody has bound has no `node` and no `status`.")
    answer([("you", "GET", "pods/web/status", 200), CREATE, REPORT]).gives(
        {"pod": "kubectl", "status": "kubelet"}, hint="A GET reads. It changes nothing, whatever it names.")
    answer([CREATE, ("second", "POST", "pods/web/binding", 409), BIND]).gives(
        {"pod": "kubectl", "node": "scheduler"}, hint="A request that was refused (status 409) has not acted.")
    answer([CREATE, BIND, ("other", "PUT", "pods/web/status", 200), REPORT]).gives(
        {"pod": "kubectl", "node": "scheduler", "status": "other"}, hint="The first one counts, not the last.")
    answer([("scheduler", "POST", "events", 201), CREATE]).gives(
        {"pod": "kubectl"}, hint="A POST to `events` creates an event, and no pod.")


@exercise
def time_in_phase(answer: Answer) -> None:
    answer([(0, "Pending"), (3, "Running")]).gives({"Pending": 3}, hint="Pending from 0 to 3; Running has no end yet.")
    answer([(10, "Pending"), (13, "Running")]).gives(
        {"Pending": 3}, hint="The clock of a watch need not begin at 0: take differences.")
    answer([(0, "Pending"), (1, "Pending"), (2, "Pending"), (5, "Running")]).gives(
        {"Pending": 5}, hint="Several events may show the same phase: their times add up.")
    answer([(0, "Pending"), (2, "Running"), (9, "Succeeded")]).gives({"Pending": 2, "Running": 7},
                                                                   hint="Each phase ends where the next one begins.")
    answer([(4, "Pending")]).gives({}, hint="One event has a beginning and no end.")
    answer([]).gives({}, hint="No events, no phases.")
    answer([(0, "Pending"), (3, "Running")]).keeps_its_arguments()


@exercise
def events_until_running(answer: Answer) -> None:
    answer({}, [("ADDED", "web", "Pending"), ("MODIFIED", "web", "Running")], "web").gives(
        2, hint="The second event says that it runs.")
    answer({"web": "Running"}, [("MODIFIED", "web", "Running")], "web").gives(
        0, hint="The list says it already: no event is needed.")
    answer({"web": "Pending"}, [("ADDED", "other", "Running"), ("MODIFIED", "web", "Running")], "web").gives(
        2, hint="The first event is about another pod. It had to be taken, and it counts.")
    answer({"web": "Pending"}, [("DELETED", "web", "Running"), ("ADDED", "web", "Pending"), ("MODIFIED", "web", "Running")],
           "web").gives(3, hint="A deleted pod carries its last phase, and runs no more. Another one of its name came, and ran.")
    answer({"web": "Pending"}, [("MODIFIED", "web", "Pending")], "web").gives(
        None, hint="The stream ended, and the pod did not run.")
    answer({"web": "Pending"}, [], "web").gives(None, hint="A stream may end before it has said a word.")
    answer({"other": "Running"}, [("ADDED", "web", "Running"), ("MODIFIED", "web", "Running")], "web").gives(
        1, hint="Stop at the first event that says so; and in the list, look at the pod that is asked for.")
