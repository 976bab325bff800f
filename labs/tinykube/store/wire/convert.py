"""Between etcd's messages and what the store is asked and answers; both ways, since there is a server and a client."""
from __future__ import annotations

from operator import attrgetter
from typing import Any

from tinykube.store import model
from tinykube.store.mvcc import Store
from tinykube.store.wire.messages import pb

OPS = ("==", ">", "<", "!=")                                         # in the order of CompareResult
TARGETS = {"version": "version", "create": "create_revision", "mod": "mod_revision", "value": "value",
           "lease": "lease"}                                         # in the order of CompareTarget
SORTED_BY = ("key", "version", "create_revision", "mod_revision", "value")
BOUNDS = {"min_mod_revision": 0, "max_mod_revision": 2**63, "min_create_revision": 0, "max_create_revision": 2**63}
REQUESTS: dict[type, tuple[str, Any]] = {
    model.Range: ("request_range", pb.RangeRequest), model.Put: ("request_put", pb.PutRequest),
    model.Delete: ("request_delete_range", pb.DeleteRangeRequest), model.Txn: ("request_txn", pb.TxnRequest)}


# What a server is asked

def range_of(request: Any) -> model.Range:
    """What to ask the store. A range that is to be sorted or sifted is read whole."""
    if not (0 <= request.sort_order <= 2 and 0 <= request.sort_target <= 4):
        raise model.StoreError("etcdserver: invalid sort option")
    return model.Range(request.key, request.range_end or None, request.revision, 0 if arranged(request) else request.limit,
                       request.count_only)


def arranged(request: Any) -> bool:
    """Whether a range is to be sorted or sifted, which is done after the store has read it."""
    return bool(request.sort_order or request.sort_target or any(getattr(request, bound) for bound in BOUNDS))


def put_of(request: Any, store: Store) -> model.Put:
    """What to tell the store. What is to stay as it is, is looked up."""
    value, lease = request.value, request.lease
    for name, given in (("value", request.ignore_value and value), ("lease", request.ignore_lease and lease)):
        if given:
            raise model.StoreError(f"etcdserver: {name} is provided")
    if request.key and (request.ignore_value or request.ignore_lease):
        if not (found := store.range(request.key).kvs):
            raise model.StoreError("etcdserver: key not found")
        value = found[0].value if request.ignore_value else value
        lease = found[0].lease if request.ignore_lease else lease
    return model.Put(request.key, value, lease, request.prev_kv)


def txn_of(request: Any, store: Store) -> model.Txn:
    """A transaction, with all that is nested in it."""
    if len(request.compare) > model.MOST_OPERATIONS:
        raise model.StoreError("etcdserver: too many operations in txn request")
    branches = (tuple(operation_of(each, store) for each in branch) for branch in (request.success, request.failure))
    return model.Txn(tuple(map(compare_of, request.compare)), *branches)


def compare_of(compare: Any) -> model.Compare:
    """A condition of a transaction."""
    if not compare.key:
        raise model.StoreError("etcdserver: key is not provided")
    target, field = list(TARGETS.items())[compare.target]
    return model.Compare(compare.key, target, OPS[compare.result], getattr(compare, field), compare.range_end or None)


def operation_of(request: Any, store: Store) -> model.Operation:
    """One operation: of a transaction, or a call of its own."""
    if kind := request.DESCRIPTOR.name == "RequestOp" and request.WhichOneof("request"):
        return operation_of(getattr(request, kind), store)
    match request.DESCRIPTOR.name:
        case "RangeRequest":
            return range_of(request)
        case "PutRequest":
            return put_of(request, store)
        case "TxnRequest":
            return txn_of(request, store)
    return model.Delete(request.key, request.range_end or None, request.prev_kv)


# What it answers

def kv_message(kv: model.KeyValue, keys_only: bool = False) -> Any:
    """A version of a key, as it travels."""
    return pb.KeyValue(key=kv.key, value=b"" if keys_only else kv.value, create_revision=kv.create_revision,
                       mod_revision=kv.mod_revision, version=kv.version, lease=kv.lease)


def answer_of(request: Any, result: Any, header: Any) -> Any:
    """The message that answers a request; what is nested in it gets headers that tell the revision alone."""
    match result:
        case model.RangeResult():
            kvs, more = arrange(request, result)
            found = [kv_message(kv, request.keys_only) for kv in kvs]
            return pb.RangeResponse(header=header, kvs=found, more=more, count=result.count)
        case model.PutResult():
            return pb.PutResponse(header=header, prev_kv=result.prev_kv and kv_message(result.prev_kv))
        case model.DeleteResult():
            return pb.DeleteRangeResponse(header=header, deleted=result.deleted, prev_kvs=map(kv_message, result.prev_kvs))
    answer = pb.TxnResponse(header=header, succeeded=result.succeeded)
    for asked, inner in zip(request.success if result.succeeded else request.failure, result.responses, strict=True):
        kind = asked.WhichOneof("request")
        inner_header = pb.ResponseHeader(revision=0 if kind == "request_txn" else inner.revision)
        message = answer_of(getattr(asked, kind), inner, inner_header)
        answer.responses.append(pb.ResponseOp(**{kind.replace("request", "response"): message}))
    return answer


def arrange(request: Any, result: model.RangeResult) -> tuple[list[model.KeyValue], bool]:
    """The keys that a range wants, in the order that it wants, and whether its limit cut them short."""
    if not arranged(request):
        return result.kvs, result.more
    low, high, born_low, born_high = (getattr(request, bound) or default for bound, default in BOUNDS.items())
    kvs = [kv for kv in result.kvs if low <= kv.mod_revision <= high and born_low <= kv.create_revision <= born_high]
    if request.sort_order or request.sort_target:
        kvs.sort(key=attrgetter(SORTED_BY[request.sort_target]), reverse=request.sort_order == 2)
    limit = request.limit if request.limit > 0 else len(kvs)
    return kvs[:limit], len(kvs) > limit


# What a client asks, and is answered

def message_of(asked: Any) -> Any:
    """A request as a message. Their fields have the same names, but for those of a transaction."""
    if isinstance(asked, model.Compare):
        target = list(TARGETS).index(asked.target)
        return pb.Compare(key=asked.key, range_end=asked.range_end or b"", target=target, result=OPS.index(asked.op),
                          **{TARGETS[asked.target]: asked.value})
    if isinstance(asked, model.Txn):
        branches = {name: [pb.RequestOp(**{REQUESTS[type(each)][0]: message_of(each)}) for each in getattr(asked, name)]
                    for name in ("success", "failure")}
        return pb.TxnRequest(compare=map(message_of, asked.compares), **branches)
    return REQUESTS[type(asked)][1](**{name: value for name, value in vars(asked).items() if value})


def kv_of(kv: Any) -> model.KeyValue:
    """A version of a key."""
    return model.KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def event_of(event: Any) -> model.Event:
    """A change."""
    return model.Event(pb.EventType[event.type], kv_of(event.kv), kv_of(event.prev_kv) if event.HasField("prev_kv") else None)


def result_of(answer: Any, revision: int) -> Any:
    """What the store itself would have returned."""
    match answer.DESCRIPTOR.name:
        case "ResponseOp":
            return result_of(getattr(answer, answer.WhichOneof("response")), revision)
        case "RangeResponse":
            return model.RangeResult([kv_of(kv) for kv in answer.kvs], answer.count, revision)
        case "PutResponse":
            return model.PutResult(revision, kv_of(answer.prev_kv) if answer.HasField("prev_kv") else None)
        case "DeleteRangeResponse":
            return model.DeleteResult(revision, answer.deleted, tuple(map(kv_of, answer.prev_kvs)))
    return model.TxnResult(answer.succeeded, revision, [result_of(each, revision) for each in answer.responses])
