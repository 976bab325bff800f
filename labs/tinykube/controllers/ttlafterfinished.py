"""Jobs that have ended go after a while, if they say how long that is.

Genuine counterpart: ttl-after-finished-controller.
"""
from __future__ import annotations

from datetime import timedelta

from tinykube.controllers.conditions import holds, said
from tinykube.controllers.following import Following
from tinykube.machinery.objects import Object, parse_time


def ended_at(job: Object) -> str | None:
    """When a Job has come to its end; None while it has not."""
    found = next((kind for kind in ("Complete", "Failed") if holds(job, kind)), None)
    return said(job, found)["lastTransitionTime"] if found else None


class TtlAfterFinishedController(Following):
    """Deletes each Job when its time has come, and what it owns with it."""

    name = "ttl-after-finished-controller"

    def setup(self) -> None:
        """Watch Jobs."""
        self.jobs = self.watch("jobs")

    async def sync(self, key: str) -> None:
        """Delete one Job, or come back when it is time."""
        job = self.jobs.get(key)
        end, ttl = (ended_at(job), job["spec"].get("ttlSecondsAfterFinished")) if job else (None, None)
        if job is None or end is None or ttl is None or job["metadata"].get("deletionTimestamp"):
            return
        left = (parse_time(end) + timedelta(seconds=ttl) - self.clock.now()).total_seconds()
        if left > 0:
            return self.queue.add_after(key, left)
        await self.delete("jobs", job, "Foreground")
