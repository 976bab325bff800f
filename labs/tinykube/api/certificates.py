"""Requests for certificates: users ask, approvers approve, signers sign, each by a path of his own.

Genuine counterpart: k8s.io/kubernetes/pkg/registry/certificates/certificates/strategy.go, and its validation.
"""
from __future__ import annotations

import base64
from typing import TYPE_CHECKING, ClassVar

from tinykube.api.defaults import fill
from tinykube.api.strategy import Causes, Fields, StatusStrategy, paths
from tinykube.api.validation import label_errors
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig, timestamp
from tinykube.machinery.selectors import subdomain_errors
from tinykube.machinery.wire import User

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

VERDICTS = ("Approved", "Denied")
FINAL = (*VERDICTS, "Failed")
FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
LEGACY = "kubernetes.io/legacy-unknown"


class RequestStrategy(StatusStrategy):
    """Requests for certificates. Who asks is written down by the server, not by who asks; the rest never changes."""

    fields: ClassVar[Fields] = paths("spec.signerName")
    kept_by_main: ClassVar[tuple[tuple[str, ...], ...]] = (("f:spec",),)

    def ascribe(self, obj: Object, user: User) -> None:
        asked = {field: value for field, value in obj["spec"].items() if field not in ("username", "uid", "groups", "extra")}
        who: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups),
                       "extra": {name: list(values) for name, values in user.extra.items()}}
        obj["spec"] = asked | {field: value for field, value in who.items() if value}

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        said = conditions(obj)
        super().prepare_for_update(obj, old, subresource)
        obj["spec"] = old["spec"]
        if subresource == "approval":
            obj["status"] = {**(old.get("status") or {}), "conditions": said}
        if subresource == "status":
            kept = {each["type"]: each for each in dig(old, "status", "conditions", default=[]) if each["type"] in VERDICTS}
            obj["status"] = {**(obj.get("status") or {}), "conditions": [kept.get(each.get("type"), each) for each in said]}

    def validate(self, obj: Object) -> Causes:
        spec, found = obj["spec"], super().validate(obj)
        if not pem(spec.get("request"), "CERTIFICATE REQUEST"):
            found.append(errors.invalid_value("spec.request", spec.get("request"),
                                              "PEM block type must be CERTIFICATE REQUEST"))
        found += signer_causes(spec.get("signerName") or "")
        usages = spec.get("usages") or []
        found += [errors.duplicate_value(f"spec.usages[{at}]", each) for at, each in enumerate(usages) if each in usages[:at]]
        if spec.get("expirationSeconds", 600) < 600:
            found.append(errors.invalid_value("spec.expirationSeconds", spec["expirationSeconds"],
                                              "may not specify a duration less than 600 seconds (10 minutes)"))
        return sorted(found, key=lambda each: each["field"])

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        found: Causes = []
        certificate, had = (dig(side, "status", "certificate", default="") for side in (obj, old))
        if certificate and not pem(certificate, "CERTIFICATE"):
            found.append(errors.invalid_value("status.certificate", "<certificate data>",
                                              "must contain at least one CERTIFICATE PEM block"))
        if had and certificate != had:
            found.append(errors.forbidden_value("status.certificate", "updates may not modify existing certificate content"))
        found += condition_causes(conditions(obj))
        for kind in FINAL:
            was, now = ([each for each in conditions(side) if each.get("type") == kind] for side in (old, obj))
            if len(now) < len(was):
                found.append(errors.forbidden_value("status.conditions", f'updates may not remove a condition of type "{kind}"'))
            if subresource != "approval" and kind in VERDICTS and len(now) > len(was):
                found.append(errors.forbidden_value("status.conditions", f'updates may not add a condition of type "{kind}"'))
        return [*found, *torn(conditions(obj))]

    async def begin(self, server: ApiServer, obj: Object, old: Object | None, dry_run: bool) -> None:
        now, before = timestamp(server.clock), {each["type"]: each for each in conditions(old or {})}
        for each in conditions(obj):
            was = before.get(each["type"], {})
            since = was.get("lastTransitionTime") if was.get("status") == each["status"] else None
            fill(each, lastUpdateTime=now, lastTransitionTime=since or now)


def conditions(obj: Object) -> list[Object]:
    """What has been said about a request."""
    return list(dig(obj, "status", "conditions", default=[]) or [])


def pem(encoded: str | None, kind: str) -> bool:
    """Whether a text holds, in base64, a PEM block of a kind."""
    return f"-----BEGIN {kind}-----".encode() in base64.b64decode(encoded or "")


def signer_causes(name: str) -> Causes:
    """What is wrong with the name of a signer."""
    if not name:
        return []
    if name.count("/") != 1:
        return [errors.invalid_value("spec.signerName", name, FORM)]
    domain, _, path = name.partition("/")
    labels = domain.split(".")
    found = [errors.too_long_value("spec.signerName", 253)] if len(domain) > 253 else []
    if len(labels) < 2:
        found.append(errors.invalid_value("spec.signerName", domain,
                                          "should be a domain with at least two segments separated by dots"))
    else:
        found += [errors.invalid_value("spec.signerName", domain, f'validating label "{each}": {why}')
                  for each in labels for why in label_errors(each)]
    found += [errors.invalid_value("spec.signerName", path, f'validating label "{each}": {why}')
              for each in path.split(".") for why in subdomain_errors(each or "_")]
    if name == LEGACY:
        found.append(errors.invalid_value("spec.signerName", name, "the legacy signerName is not allowed via this API version"))
    return found


def condition_causes(said: list[Object]) -> Causes:
    """What is wrong with the conditions of a request, each by itself."""
    found: Causes = []
    for at, each in enumerate(said):
        kind, status = each.get("type") or "", each.get("status") or ""
        if not kind:
            found.append(errors.required(f"status.conditions[{at}].type"))
        if not status:
            found.append(errors.required(f"status.conditions[{at}].status"))
        elif kind in FINAL and status != "True":
            found.append(errors.unsupported_value(f"status.conditions[{at}].status", status, ("True",)))
        if kind and kind in [other.get("type") for other in said[:at]]:
            found.append(errors.duplicate_value(f"status.conditions[{at}].type", kind))
    return found


def torn(said: list[Object]) -> Causes:
    """What is wrong with the conditions of a request together: nobody can be of two minds."""
    if not {each.get("type") for each in said} >= set(VERDICTS):
        return []
    both = [f'conditions[{{"type": "{kind}"}}]' for kind in VERDICTS]
    return [errors.invalid_value("status.conditions", f"{{{', '.join(both)}}}",
                                 f"must specify at most one of: {', '.join(f'`{each}`' for each in both)}")]
