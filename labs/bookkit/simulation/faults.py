"""What goes wrong in a simulated day, and what people do in it. Each waits until the harm is over, and says what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, name, uid

from bookkit.simulation.wire import FINE, Weather
from bookkit.simulation.workloads import SPACE, template, workload
from bookkit.simulation.world import Machine, World

Trouble = Callable[[World, Random], Awaitable[str]]
PATIENCE = 600.0              # simulated seconds that somebody waits for a name to be free, before the machines are brought back


def some_machine(world: World, random: Random) -> Machine:
    """One of the machines."""
    return world.machines[random.choice(list(world.machines))]


def a_while(random: Random, longest: float = 700.0) -> float:
    """Mostly short, sometimes so long that pods are driven out."""
    return random.choice((random.uniform(0.1, 5), random.uniform(5, 90), random.uniform(90, longest)))


async def kubelet_dies(world: World, random: Random) -> str:
    """A kubelet is gone for a while; its pods run on."""
    machine, seconds = some_machine(world, random), a_while(random)
    world.kill_kubelet(machine)
    await world.clock.sleep(seconds)
    await world.start_kubelet(machine)
    return f"the kubelet of {machine.name} was dead for {seconds:.0f} s"


async def power_fails(world: World, random: Random) -> str:
    """A machine is off for a while, and all that ran on it has ended."""
    machine, seconds = some_machine(world, random), a_while(random)
    if not machine.powered:
        return f"{machine.name} was off already"
    machine.powered = False
    world.kill_kubelet(machine)
    machine.runtime.lose_power()
    await world.clock.sleep(seconds)
    machine.powered = True
    await world.start_kubelet(machine)
    return f"{machine.name} was without power for {seconds:.0f} s"


async def machine_stays_off(world: World, random: Random) -> str:
    """A machine is off, or cut off, and stays so until all else is well without it: its pods have to come up elsewhere."""
    machine = some_machine(world, random)
    if not machine.powered or machine.name in world.network.cut or len(world.later) > 1:
        return f"{machine.name} had trouble enough"
    if random.random() < 0.5:
        world.network.part(machine.name)

        async def back() -> None:
            world.network.heal(machine.name)
    else:
        machine.powered = False
        world.kill_kubelet(machine)
        machine.runtime.lose_power()

        async def back() -> None:
            machine.powered = True
            await world.start_kubelet(machine)
    world.later.append(back)
    return f"{machine.name} is {'off' if not machine.powered else 'cut off'}, and stays so"


async def machine_is_lost(world: World, random: Random) -> str:
    """A machine burns down. People take its Node away, and bring a new one."""
    machine = some_machine(world, random)
    if not machine.powered:
        return f"{machine.name} was off already"
    machine.powered = False
    world.kill_kubelet(machine)
    machine.runtime.lose_power()
    del world.machines[machine.name]
    fresh = world.add_machine()
    await world.start_kubelet(fresh)
    await world.clock.sleep(random.uniform(1, 60))
    await world.insist(lambda: world.admin.delete("nodes", machine.name), accept=(404,))
    return f"{machine.name} was lost, {fresh.name} came"


async def partition(world: World, random: Random) -> str:
    """One machine, or several, can't reach the api-server for a while."""
    count = random.choice((1, 1, max(1, len(world.machines) // 3)))
    machines, seconds = random.sample(list(world.machines), count), a_while(random)
    for each in machines:
        world.network.part(each)
    await world.clock.sleep(seconds)
    for each in machines:
        world.network.heal(each)
        if each in world.machines:
            world.machines[each].up_since = world.clock.monotonic()
    return f"{', '.join(machines)} cut off for {seconds:.0f} s"


async def bad_weather(world: World, random: Random) -> str:
    """Requests are lost, answers too; some are slow; some are refused for no reason."""
    seconds = random.uniform(10, 200)
    world.network.weather = Weather(random.uniform(0, 0.2), random.uniform(0, 0.2), random.uniform(0, 0.2),
                                    random.uniform(0, 0.5), random.uniform(0.1, 20))
    await world.clock.sleep(seconds)
    world.network.weather = FINE
    return f"bad weather for {seconds:.0f} s"


async def api_crashes(world: World, random: Random) -> str:
    """The api-server dies and comes back, once or again and again."""
    times, seconds = random.choice((1, 1, 3)), random.choice((0.0, random.uniform(0, 10), random.uniform(10, 120)))
    if world.network.server is None:
        return "the api-server was away already"
    for _ in range(times):
        async with world.without_api():
            await world.clock.sleep(seconds)
        await world.clock.sleep(random.uniform(0, 5))
    return f"the api-server crashed {times} times, and was away for {seconds:.0f} s"


async def process_crashes(world: World, random: Random) -> str:
    """The scheduler or the controllers die at any moment, and are started again."""
    which, times = random.choice(("scheduler", "controller-manager")), random.choice((1, 1, 4))
    seconds = random.choice((0.0, random.uniform(0, 30)))
    for _ in range(times):
        if which not in world.processes:
            return f"the {which} was dead already"
        world.kill(which)
        await world.clock.sleep(seconds)
        await world.start_process(which)
        await world.clock.sleep(random.uniform(0, 40))
    return f"the {which} crashed {times} times, and was away for {seconds:.0f} s"


async def leader_is_cut_off(world: World, random: Random) -> str:
    """The leader loses the api-server but lives; another one stands by. Later, one of the two is taken away."""
    which, seconds = random.choice(("scheduler", "controller-manager")), random.uniform(1, 120)
    second = f"{which}/2"
    if which not in world.processes or second in world.processes:
        return f"the {which} had trouble enough"
    await world.start_process(second)
    await world.clock.sleep(random.uniform(0, 5))
    world.network.part(which)
    await world.clock.sleep(seconds)
    world.network.heal(which)
    await world.clock.sleep(random.uniform(0, 60))
    if second in world.processes:
        world.kill(second)
    return f"the {which} was cut off for {seconds:.0f} s while another stood by"


async def watches_break(world: World, random: Random) -> str:
    """Watches end in the middle, or fall silent for good."""
    silently = random.random() < 0.5
    count = world.network.cut_streams(random.uniform(0.1, 1), silently)
    return f"{count} watches {'fell silent' if silently else 'broke'}"


async def containers_crash(world: World, random: Random) -> str:
    """Some containers end by themselves."""
    count = 0
    for machine in list(world.machines.values()):
        for one in machine.runtime.running():
            if random.random() < 0.2:
                machine.runtime.end(one.id, 1)
                count += 1
    return f"{count} containers crashed"


async def runtime_fails(world: World, random: Random) -> str:
    """Half of what a kubelet asks of its runtime fails, for a while."""
    machine, seconds = some_machine(world, random), random.uniform(5, 200)
    machine.runtime.broken = random.uniform(0.1, 0.9)
    for one in random.sample(machine.runtime.running(), min(2, len(machine.runtime.running()))):
        machine.runtime.end(one.id, 1)
    await world.clock.sleep(seconds)
    machine.runtime.broken = 0.0
    return f"the runtime of {machine.name} was out of order for {seconds:.0f} s"


FAULTS: tuple[Trouble, ...] = (
    kubelet_dies, power_fails, machine_stays_off, machine_is_lost, partition, bad_weather, api_crashes, process_crashes,
    leader_is_cut_off, watches_break, containers_crash, runtime_fails)


# What people do

def some_deployment(world: World, random: Random) -> str:
    return random.choice([name(each) for each in world.objects("deployments")])


async def scale(world: World, random: Random) -> str:
    """A Deployment or a StatefulSet is made larger or smaller."""
    which, resource = some_deployment(world, random), "deployments"
    if random.random() < 0.3:
        which, resource = random.choice([name(each) for each in world.objects("statefulsets")]), "statefulsets"
    wanted = random.randint(0, 8)
    await world.insist(lambda: world.admin.patch(resource, which, {"spec": {"replicas": wanted}}, SPACE, type="merge"))
    return f"{resource} {which} scaled to {wanted}"


async def roll(world: World, random: Random) -> str:
    """A new version of a workload, and sometimes at once another, or the old one again."""
    which, resource = some_deployment(world, random), "deployments"
    if random.random() < 0.3:
        which, resource = random.choice(
            [(name(each), kind) for kind in ("statefulsets", "daemonsets") for each in world.objects(kind)])
    versions = [random.randint(1, 5) for _ in range(random.choice((1, 1, 2)))]
    for version in versions:
        patch: Object = {"spec": {"template": {"spec": template(which, version)["spec"]}}}
        await world.insist(lambda patch=patch: world.admin.patch(resource, which, patch, SPACE))  # type: ignore[misc]
        await world.clock.sleep(random.uniform(0, 10))
    return f"{resource} {which} rolled to {', then '.join(map(str, versions))}"


async def delete_pods(world: World, random: Random) -> str:
    """Pods are deleted by hand, some of them with force."""
    pods = list(world.objects("pods"))
    chosen = random.sample(pods, min(len(pods), random.randint(1, 5)))
    for pod in chosen:
        force = {"grace_seconds": 0} if random.random() < 0.3 and dig(pod, "metadata", "ownerReferences", 0,
                                                                      "kind") != "StatefulSet" else {}
        await world.insist(lambda pod=pod, force=force: world.admin.delete(  # type: ignore[misc]
            "pods", name(pod), SPACE, uid=uid(pod), **force), accept=(404, 409))
    return f"deleted by hand: {', '.join(map(name, chosen))}"


async def drain(world: World, random: Random) -> str:
    """A machine is taken out of service for a while: no new pods, and those that are there evicted, by their budgets' leave."""
    node = random.choice(list(world.machines))

    async def cordon(on: bool) -> object:
        return await world.insist(lambda: world.admin.patch("nodes", node, {"spec": {"unschedulable": on or None}}, type="merge"),
                                  accept=(404,))
    await cordon(True)
    until = world.clock.monotonic() + random.uniform(10, 200)
    while world.clock.monotonic() < until:
        for pod in [each for each in world.objects("pods") if dig(each, "spec", "nodeName") == node
                    and dig(each, "metadata", "ownerReferences", 0, "kind") != "DaemonSet"]:
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name(pod), "namespace": SPACE}}
            try:
                await world.admin.create("pods", eviction, SPACE, name=name(pod), subresource="eviction")
            except (ApiError, OSError):
                continue
        await world.clock.sleep(5)
    await cordon(False)
    return f"{node} drained, and given back"


async def replace_deployment(world: World, random: Random) -> str:
    """A Deployment is deleted, in one of the three ways, and made anew."""
    which, policy = some_deployment(world, random), random.choice(("Background", "Foreground", "Orphan"))
    path, replicas = world.admin.path("deployments", SPACE, which), random.randint(1, 5)
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
    await world.insist(lambda: world.admin.call("DELETE", path, None, options), accept=(404,))
    await world.clock.sleep(random.uniform(0, 3))
    began = world.clock.monotonic()
    while not await created(world, workload("Deployment", which, replicas)):
        await world.clock.sleep(2)
        if world.later and world.clock.monotonic() > began + PATIENCE:     # its last pod waits for a machine that is away
            await world.later.pop()()
    return f"deployment {which} deleted ({policy}), and made anew with {replicas}"


async def created(world: World, obj: Object) -> bool:
    """Whether a Deployment could be made: not while an old one of its name is on its way out."""
    try:
        await world.admin.create("deployments", obj)
    except OSError:
        return False
    except ApiError as error:
        if error.code == 409 and "being deleted" not in error.message:
            return any(name(each) == name(obj) and "deletionTimestamp" not in each["metadata"]
                       for each in world.objects("deployments"))
        return False
    return True


ACTS: tuple[Trouble, ...] = (scale, roll, delete_pods, drain, replace_deployment)


async def trouble(world: World, random: Random) -> None:
    """One or two things go wrong, perhaps while people do something, until all of it is over."""
    chosen = random.sample(FAULTS, random.choice((1, 1, 2))) + random.sample(ACTS, random.choice((0, 1, 1, 2)))

    async def later(what: Trouble, seconds: float) -> None:
        await world.clock.sleep(seconds)
        world.history.tell(f"… {what.__name__}")
        world.history.tell(await what(world, random))
    await asyncio.gather(*(later(each, random.uniform(0, 10)) for each in chosen))
