"""The memory of the cluster: keys, values, revisions. Seat of etcd."""
from tinykube.store.durable import DurableStorage
from tinykube.store.lease import LeaseNotFound
from tinykube.store.model import (
    END,
    Alarm,
    Compact,
    Compacted,
    Compare,
    Delete,
    DeleteResult,
    Event,
    FutureRevision,
    Grant,
    GrantResult,
    KeyValue,
    LeaseLife,
    NoSpace,
    Put,
    PutResult,
    Range,
    RangeResult,
    Revoke,
    StoreError,
    Txn,
    TxnResult,
    WatchBatch,
    prefix_end,
)
from tinykube.store.mvcc import Store
from tinykube.store.records import Damaged
from tinykube.store.storage import LocalStorage, Storage, Watch

__all__ = ["END", "Alarm", "Compact", "Compacted", "Compare", "Damaged", "Delete", "DeleteResult", "DurableStorage", "Event",
           "FutureRevision", "Grant", "GrantResult", "KeyValue", "LeaseLife", "LeaseNotFound", "LocalStorage",
           "NoSpace", "Put", "PutResult", "Range", "RangeResult", "Revoke", "Storage", "Store", "StoreError", "Txn",
           "TxnResult", "Watch", "WatchBatch", "prefix_end"]
