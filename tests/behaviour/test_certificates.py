"""Requests for certificates: which are approved without a person, which are signed, and why others are not."""

from __future__ import annotations

import base64
import ipaddress
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.behaviour.target import Object, Target, wait

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT, SERVING = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kubelet-serving"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
TO_CLIENT, TO_SERVE = ["digital signature", "client auth"], ["digital signature", "server auth"]
NODE, NODES = "system:node:ant", ["system:nodes"]
DNS, IP = x509.DNSName("ant"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))
EMAIL, URI = x509.RFC822Name("ant@example.com"), x509.UniformResourceIdentifier("https://ant")


def ask_for(key: ec.EllipticCurvePrivateKey, name: str, groups: list[str], names: list[x509.GeneralName]) -> str:
    """A request for a certificate, as its object has it."""
    parts = [*((NameOID.ORGANIZATION_NAME, group) for group in groups), (NameOID.COMMON_NAME, name)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(*part) for part in parts]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return base64.b64encode(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)).decode()


class Desk:
    """Where requests are handed in; it throws them away at the end."""

    def __init__(self, target: Target) -> None:
        self.target, self.made = target, list[str]()
        self.key = ec.generate_private_key(ec.SECP256R1())

    def hand_in(self, signer: str, name: str = NODE, groups: list[str] = NODES, names: tuple[x509.GeneralName, ...] = (),
                usages: list[str] = TO_CLIENT, headers: dict[str, str] | None = None, **spec: object) -> str:
        called = f"t-{uuid.uuid4().hex[:8]}"
        asked = {"request": ask_for(self.key, name, groups, list(names)), "signerName": signer, "usages": usages, **spec}
        made = self.target.call("POST", PATH, {"metadata": {"name": called}, "spec": asked}, headers=headers)
        assert made.status_code == 201, made.text
        self.made.append(called)
        return called

    def get(self, called: str) -> Object:
        return self.target.call("GET", f"{PATH}/{called}").json()  # type: ignore[no-any-return]

    def decide(self, called: str, kind: str = "Approved") -> None:
        """Write the decision, as a person would."""
        request = self.get(called)
        request.setdefault("status", {})["conditions"] = [{"type": kind, "status": "True", "reason": "ByHand", "message": "so"}]
        done = self.target.call("PUT", f"{PATH}/{called}/approval", request)
        assert done.status_code == 200, done.text

    def conditions(self, called: str) -> list[tuple[str, str, str]]:
        told = self.get(called).get("status", {}).get("conditions", [])
        return [(each["type"], each["reason"], each["message"]) for each in told]

    def signed(self, called: str) -> x509.Certificate:
        """Wait for the certificate."""
        text = wait(lambda: self.get(called).get("status", {}).get("certificate"), f"a certificate, {self.get(called)['status']}")
        return x509.load_pem_x509_certificate(base64.b64decode(text))

    def others_are_served(self) -> None:
        """Wait until somebody who came after all others has a certificate: then who has none gets none."""
        last = self.hand_in(CLIENT, "last", [])
        self.decide(last)
        self.signed(last)


@pytest.fixture
def desk(target: Target) -> Iterator[Desk]:
    if "controller-manager" not in target.parts:
        pytest.skip(f"the target {target.name} has no controller-manager")
    desk = Desk(target)
    yield desk
    for called in desk.made:
        target.call("DELETE", f"{PATH}/{called}")


def test_a_kubelet_gets_its_certificate_without_a_person(desk: Desk) -> None:
    called = desk.hand_in(KUBELET, usages=[*TO_CLIENT, "key encipherment"])
    certificate = desk.signed(called)
    assert desk.conditions(called) == [
        ("Approved", "AutoApproved", "Auto approving kubelet client certificate after SubjectAccessReview.")]
    assert certificate.subject.rfc4514_string() == "CN=system:node:ant,O=system:nodes"
    found = {type(each.value): each for each in certificate.extensions}
    usage, basics = found[x509.KeyUsage].value, found[x509.BasicConstraints]
    assert isinstance(usage, x509.KeyUsage)
    assert isinstance(basics.value, x509.BasicConstraints)
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    assert (basics.value.ca, basics.critical, found[x509.KeyUsage].critical) == (False, True, True)
    assert found[x509.ExtendedKeyUsage].value == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    assert x509.SubjectAlternativeName not in found


def test_a_kubelet_that_renews_asks_for_itself(desk: Desk, target: Target) -> None:
    """It needs the right to, for which kubeadm has a binding."""
    node = f"system:node:{uuid.uuid4().hex[:8]}"
    binding = {"metadata": {"name": node.replace(":", "-")}, "subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": node}], "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
        "name": "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"}}
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    headers = {"Impersonate-User": node, "Impersonate-Group": "system:nodes"}
    before = desk.hand_in(KUBELET, node, headers=headers)
    assert target.call("POST", bindings, binding).status_code == 201
    try:
        after = desk.hand_in(KUBELET, node, headers=headers)
        desk.signed(after)
        assert desk.conditions(after) == [
            ("Approved", "AutoApproved", "Auto approving self kubelet client certificate after SubjectAccessReview.")]
        assert desk.get(after)["spec"]["username"] == node
        desk.signed(before)                      # it may not have been allowed at first, and was asked about again
    finally:
        target.call("DELETE", f"{bindings}/{node.replace(':', '-')}")


def test_a_person_approves_and_who_asked_is_known_to_the_server(desk: Desk, target: Target) -> None:
    called = desk.hand_in(CLIENT, "jane", ["devs", "ops"])
    approved = target.kubectl("certificate", "approve", called)
    assert approved.stdout == f"certificatesigningrequest.certificates.k8s.io/{called} approved\n", approved.stderr
    certificate = desk.signed(called)
    assert [each[:2] for each in desk.conditions(called)] == [("Approved", "KubectlApprove")]
    files = [f"{target.scratch.name}/{called}.{end}" for end in ("crt", "key")]
    texts = [certificate.public_bytes(serialization.Encoding.PEM), desk.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())]
    for path, text in zip(files, texts, strict=True):
        with open(path, "wb") as file:
            file.write(text)
    answer = requests.post(f"{target.url}/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}, cert=(files[0], files[1]),
                           verify=str(target.http.verify), timeout=20)
    told = answer.json()["status"]["userInfo"]
    assert (told["username"], set(told["groups"])) == ("jane", {"devs", "ops", "system:authenticated"})


def test_a_server_of_a_kubelet(desk: Desk) -> None:
    called = desk.hand_in(SERVING, names=(DNS, IP), usages=TO_SERVE)
    desk.others_are_served()
    assert not desk.get(called).get("status"), "that one waits for a person"
    desk.decide(called)
    certificate = desk.signed(called)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [DNS, IP]
    assert certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value == x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH])


def test_as_long_as_it_asks_for(desk: Desk) -> None:
    called = desk.hand_in(CLIENT, "jane", [], expirationSeconds=3600)
    desk.decide(called)
    certificate = desk.signed(called)
    lasts = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lasts == timedelta(hours=1, minutes=5), "five minutes of it are in the past"


def test_who_is_denied_or_asks_another_gets_nothing_here(desk: Desk) -> None:
    denied, other = desk.hand_in(CLIENT, "jane", []), desk.hand_in("example.com/mine", "jane", [])
    desk.decide(denied, "Denied")
    desk.decide(other)
    desk.others_are_served()
    assert "certificate" not in desk.get(denied)["status"]
    assert "certificate" not in desk.get(other)["status"]
    assert [each[0] for each in desk.conditions(denied) + desk.conditions(other)] == ["Denied", "Approved"]


NAMED_SO = "subject common name does not begin with system:node:"


@pytest.mark.parametrize(("wanted", "why"), [
    ((KUBELET, NODE, ["others"]), "subject organization is not system:nodes"),
    ((KUBELET, NODE, [*NODES, "more"]), "subject organization is not system:nodes"),
    ((KUBELET, NODE, NODES, (URI, IP, EMAIL, DNS)), "DNS subjectAltNames are not allowed"),
    ((KUBELET, NODE, NODES, (URI, IP, EMAIL)), "Email subjectAltNames are not allowed"),
    ((KUBELET, NODE, NODES, (URI, IP)), "IP subjectAltNames are not allowed"),
    ((KUBELET, "ant", NODES, (URI,)), "URI subjectAltNames are not allowed"),
    ((KUBELET, "ant", NODES, (), TO_SERVE), NAMED_SO),
    ((KUBELET, NODE, NODES, (), TO_SERVE), "usages did not match [client auth digital signature key encipherment]"),
    ((KUBELET, NODE, NODES, (), ["client auth"]), "usages did not match [client auth digital signature key encipherment]"),
    ((SERVING, NODE, NODES, (EMAIL,), TO_SERVE), "DNS or IP subjectAltName is required"),
    ((SERVING, "ant", NODES, (DNS, URI, EMAIL), TO_CLIENT), "Email subjectAltNames are not allowed"),
    ((SERVING, "ant", NODES, (DNS,), TO_CLIENT), "usages did not match [digital signature key encipherment server auth]"),
    ((SERVING, "ant", NODES, (DNS,), TO_SERVE), NAMED_SO),
    ((CLIENT, "jane", [], (), TO_SERVE), "invalid usage for client certificate: server auth"),
    ((CLIENT, "jane", [], (), ["signing", "server auth"]), "invalid usage for client certificate: signing"),
    ((CLIENT, "jane", [], (), ["digital signature"]), "missing required usage for client certificate: client auth"),
])
def test_what_is_approved_and_not_signed(desk: Desk, wanted: tuple[object, ...], why: str) -> None:
    called = desk.hand_in(*wanted)  # type: ignore[arg-type]
    desk.decide(called)
    wait(lambda: len(desk.conditions(called)) > 1, "a second condition")
    assert desk.conditions(called) == [("Approved", "ByHand", "so"), ("Failed", "SignerValidationFailure", why)]
    assert "certificate" not in desk.get(called)["status"]
