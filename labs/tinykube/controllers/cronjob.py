"""CronJobs: a Job at each time that a schedule names.

Genuine counterpart: cronjob-controller, https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import product
from zoneinfo import ZoneInfo

from tinykube.controllers.conditions import holds
from tinykube.controllers.following import Following
from tinykube.controllers.owners import controller_of, owner_reference
from tinykube.controllers.pods import namespace_ends
from tinykube.controllers.ttlafterfinished import ended_at
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, annotations, copy, dig, format_time, name, namespace, parse_time, uid

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MACROS = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
          "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}
NAMES = {"jan feb mar apr may jun jul aug sep oct nov dec": 1, "sun mon tue wed thu fri sat": 0}
WORDS = {word: number for names, first in NAMES.items() for number, word in enumerate(names.split(), first)}
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))      # of minutes, hours, days, months and days of the week
TOO_MANY = 100                          # missed times after which somebody should be told
YEARS = 5                               # a schedule with no time in so many years has none


@dataclass(frozen=True)
class Schedule:
    """The minutes, hours and days that a cron line names. `any_day`: one of the two fields for days is a star."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool

    def on(self, day: datetime) -> bool:
        """Whether a day is one of the schedule's. If both kinds of days are restricted, one of them is enough."""
        fits = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return day.month in self.months and (all(fits) if self.any_day else any(fits))

    def after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """The first time of the schedule after a moment, by the clocks of a time zone; None if there is none for years.

        In spring, clocks leave out an hour, and what would be in it does not happen; in autumn they show one twice.
        """
        first = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        for day in filter(self.on, (first + timedelta(days=offset) for offset in range(YEARS * 366))):
            for hour, fold, minute in product(sorted(self.hours), (0, 1), sorted(self.minutes)):
                found = day.replace(hour=hour, minute=minute, fold=fold, tzinfo=zone).astimezone(moment.tzinfo)
                shown = found.astimezone(zone)
                if found > moment and (shown.hour, shown.minute) == (hour, minute):
                    return found
        return None


def parse_schedule(text: str) -> Schedule:
    """A cron line, such as `*/15 8-17 * * mon-fri`, as a Schedule. Raises ValueError for a line that is none."""
    fields = MACROS.get(text.strip(), text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = (parse_field(part, *limits) for part, limits in zip(fields, LIMITS, strict=True))
    return Schedule(minutes, hours, days, months, weekdays, any_day=fields[2][0] in "*?" or fields[4][0] in "*?")


def parse_field(text: str, low: int, high: int) -> frozenset[int]:
    """One field of a cron line: `*`, `*/15`, `1-5`, `mon,wed`."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        ends = [low, high] if span in ("*", "?") else [WORDS.get(each.lower(), each) for each in (first, last if dash else first)]
        start, end = map(int, ends)
        end = high if step and not dash else end
        if not low <= start <= end <= high or int(step or 1) < 1:
            raise ValueError(f"no value from {low} to {high} fits {part!r}")
        found |= set(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def times(schedule: Schedule, zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The times of a schedule after `start` and not after `end`."""
    while (found := schedule.after(start, zone)) is not None and found <= end:
        yield found
        start = found


def missed(cronjob: Object, schedule: Schedule, zone: tzinfo, now: datetime) -> tuple[datetime | None, int]:
    """The last time at which a Job should have begun and did not, and how many such times there were (101: many)."""
    start = parse_time(dig(cronjob, "status", "lastScheduleTime") or cronjob["metadata"]["creationTimestamp"])
    if (deadline := cronjob["spec"].get("startingDeadlineSeconds")) is not None:
        start = max(start, now - timedelta(seconds=deadline))
    last, count = None, 0
    for last in times(schedule, zone, start, now):
        count += 1
        if count > TOO_MANY:
            return latest(schedule, zone, now) or last, count
    return last, count


def latest(schedule: Schedule, zone: tzinfo, now: datetime) -> datetime | None:
    """The last time of a schedule that is not after `now`."""
    lists = (list(times(schedule, zone, now - timedelta(hours=hours), now)) for hours in (1, 24, 24 * 31, 24 * 366))
    return next((found[-1] for found in lists if found), None)


def job_for(cronjob: Object, at: datetime) -> Object:
    """The Job of one time. Its name is made from that time, so that nobody makes it twice."""
    template = copy(cronjob["spec"]["jobTemplate"])
    meta = template.get("metadata") or {}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": template["spec"], "metadata": {
        "name": f"{name(cronjob)}-{int(at.timestamp()) // 60}", "namespace": namespace(cronjob),
        "labels": meta.get("labels") or {}, "annotations": {**(meta.get("annotations") or {}), SCHEDULED: format_time(at)},
        "ownerReferences": [owner_reference({"apiVersion": "batch/v1", "kind": "CronJob", **cronjob})]}}


def superfluous(cronjob: Object, jobs: list[Object]) -> list[Object]:
    """The Jobs that have ended which are more than the CronJob wants to keep, the oldest first."""
    found = []
    for kind, limit in (("Complete", cronjob["spec"].get("successfulJobsHistoryLimit", 3)),
                        ("Failed", cronjob["spec"].get("failedJobsHistoryLimit", 1))):
        ended = sorted((job for job in jobs if holds(job, kind)), key=lambda job: dig(job, "status", "startTime", default=""))
        found += ended[:max(0, len(ended) - limit)]
    return found


def reference(job: Object) -> Object:
    """A Job as `status.active` has it."""
    return {"kind": "Job", "namespace": namespace(job), "name": name(job), "uid": uid(job), "apiVersion": "batch/v1",
            "resourceVersion": job["metadata"]["resourceVersion"]}


class CronJobController(Following):
    """Wakes up at each time of each schedule."""

    name = "cronjob-controller"

    def setup(self) -> None:
        """Watch CronJobs and their Jobs."""
        self.cronjobs, self.jobs = self.watch("cronjobs"), self.watch("jobs", self.cronjob_of)

    def cronjob_of(self, job: Object) -> str | None:
        """The key of the CronJob that a Job belongs to."""
        owner = controller_of(job)
        return f"{namespace(job)}/{owner['name']}" if owner and owner["kind"] == "CronJob" else None

    async def sync(self, key: str) -> None:
        """Look at one CronJob: what has ended, what is due, when to come back."""
        cronjob = self.cronjobs.get(key)
        if cronjob is None:
            return
        jobs = self.jobs.by("controller", uid(cronjob))
        status = self.observe(cronjob, jobs)
        for job in superfluous(cronjob, jobs):
            await self.remove(cronjob, job)
        if not cronjob["metadata"].get("deletionTimestamp") and not cronjob["spec"].get("suspend"):
            status = await self.begin(key, cronjob, jobs, status)
        status = {field: value for field, value in status.items() if value}
        if status != cronjob.get("status", {}):
            await self.client.update("cronjobs", {**cronjob, "status": status}, subresource="status")

    def observe(self, cronjob: Object, jobs: list[Object]) -> Object:
        """The status with the Jobs that are there now, and without those that have ended since."""
        status: Object = copy(cronjob.get("status", {}))
        by_uid, active = {uid(job): job for job in jobs}, {each["uid"]: each for each in status.get("active", [])}
        for gone in [each for each in active.values() if each["uid"] not in by_uid]:
            self.recorder.event(cronjob, "Normal", "MissingJob", f"Active job went missing: {gone['name']}")
            del active[gone["uid"]]
        for job in jobs:
            end = ended_at(job)
            if end and active.pop(uid(job), None):
                word = "Complete" if holds(job, "Complete") else "Failed"
                self.recorder.event(cronjob, "Normal", "SawCompletedJob", f"Saw completed job: {name(job)}, condition: {word}")
                if word == "Complete":
                    status["lastSuccessfulTime"] = max(status.get("lastSuccessfulTime", ""), end)
            elif not end and uid(job) not in active and not job["metadata"].get("deletionTimestamp"):
                active[uid(job)] = reference(job)
        return {**status, "active": [*active.values()]}

    async def begin(self, key: str, cronjob: Object, jobs: list[Object], status: Object) -> Object:
        """Create the Job whose time has come, if the CronJob's rules let it, and say when the next one is due."""
        spec, now = cronjob["spec"], self.clock.now()
        try:
            schedule, zone = parse_schedule(spec["schedule"]), ZoneInfo(spec.get("timeZone") or "UTC")
        except (ValueError, LookupError, OSError) as error:
            self.recorder.event(cronjob, "Warning", "UnparseableSchedule", f'unparseable schedule: "{spec["schedule"]}" : {error}')
            return status
        if following := schedule.after(now, zone):
            self.queue.add_after(key, (following - now).total_seconds() + 0.1)
        at, count = missed({**cronjob, "status": status}, schedule, zone, now)
        if count > TOO_MANY:
            self.recorder.event(cronjob, "Warning", "TooManyMissedTimes",
                                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
        if at is None:
            return status
        if any(annotations(job).get(SCHEDULED) == format_time(at) for job in jobs):
            return {**status, "lastScheduleTime": format_time(at)}
        if spec.get("concurrencyPolicy") == "Forbid" and status["active"]:
            self.recorder.event(cronjob, "Normal", "JobAlreadyActive",
                                "Not starting job because prior execution is running and concurrency policy is Forbid")
            return status
        if spec.get("concurrencyPolicy") == "Replace":
            for job in jobs:
                if any(each["uid"] == uid(job) for each in status["active"]):
                    await self.remove(cronjob, job)
            status = {**status, "active": []}
        return await self.create(cronjob, at, status)

    async def create(self, cronjob: Object, at: datetime, status: Object) -> Object:
        """Create the Job of one time; that it is there already is as good, if it is ours."""
        wanted = job_for(cronjob, at)
        try:
            job = await self.client.create("jobs", wanted)
            self.recorder.event(cronjob, "Normal", "SuccessfulCreate", f"Created job {name(job)}")
        except ApiError as error:
            if namespace_ends(error):
                return status
            job = await self.client.get("jobs", name(wanted), namespace(wanted)) if error.reason == "AlreadyExists" else {}
            if (controller_of(job) or {}).get("uid") != uid(cronjob):
                self.recorder.event(cronjob, "Warning", "FailedCreate", f"Error creating job: {error.message}")
                raise
        return {**status, "active": [*status["active"], reference(job)], "lastScheduleTime": format_time(at)}

    async def remove(self, cronjob: Object, job: Object) -> None:
        """Delete a Job, and with it, by the garbage collector, its pods."""
        if await self.delete("jobs", job, "Background"):
            self.recorder.event(cronjob, "Normal", "SuccessfulDelete", f"Deleted job {name(job)}")
