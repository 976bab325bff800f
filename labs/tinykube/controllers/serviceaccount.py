"""What every namespace is born with: an account that its pods run as, and the certificate to trust; and old tokens.

Genuine counterparts: serviceaccount-controller, root-ca-certificate-publisher-controller, serviceaccount-token-controller.
"""
from tinykube.controllers.following import Following
from tinykube.controllers.pods import namespace_ends
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, annotations, key_of, name, namespace, uid

ROOT_CA = "kube-root-ca.crt"
NOTES = {"kubernetes.io/description": (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.")}
TOKEN = "kubernetes.io/service-account-token"
ACCOUNT_NAME, ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


class PerNamespace(Following):
    """Keeps one object of a certain name in each namespace; one that somebody deletes is made anew."""

    resource = wanted = ""

    def setup(self) -> None:
        """Look at a namespace when it appears, and when its object changes or goes."""
        self.namespaces = self.watch("namespaces")
        self.there = self.watch(self.resource, lambda obj: namespace(obj) if name(obj) == self.wanted else None)

    async def sync(self, key: str) -> None:
        """Look at one namespace, if it is there to stay."""
        found, space = self.there.get(f"{key}/{self.wanted}"), self.namespaces.get(key)
        if space is None or space["metadata"].get("deletionTimestamp"):
            return
        if found:
            return await self.correct(found)
        meta = {"name": self.wanted, "namespace": key}
        try:
            await self.client.create(self.resource, {"metadata": meta | self.notes(), **self.content()})
        except ApiError as error:
            if error.reason not in ("AlreadyExists", "NotFound") and not namespace_ends(error):
                raise

    def notes(self) -> Object:
        """More metadata of the object."""
        return {}

    def content(self) -> Object:
        """What is in the object."""
        return {}

    async def correct(self, found: Object) -> None:
        """Make an object that is there what it should be."""


class ServiceAccountController(PerNamespace):
    """Gives each namespace the account that pods get which name none."""

    name, account = "serviceaccount-controller", "service-account-controller"
    resource, wanted = "serviceaccounts", "default"


class RootCaPublisher(PerNamespace):
    """Tells each namespace which authority to trust when it speaks to the api-server."""

    name, account = "root-ca-certificate-publisher-controller", "root-ca-cert-publisher"
    resource, wanted = "configmaps", ROOT_CA

    def notes(self) -> Object:
        """What people are told about it."""
        return {"annotations": NOTES}

    def content(self) -> Object:
        """The certificate."""
        return {"data": {"ca.crt": self.context.settings.root_ca}}

    async def correct(self, found: Object) -> None:
        """Write the certificate again, if somebody has changed it."""
        if found.get("data") != self.content()["data"] or not NOTES.keys() <= annotations(found).keys():
            meta = {**found["metadata"], "annotations": {**annotations(found), **NOTES}}
            await self.client.update("configmaps", {**found, "metadata": meta, **self.content()})


class TokenController(Following):
    """Removes Secrets that are for a token of an account, once the account is gone. It fills none: pods get tokens that end."""

    name = "serviceaccount-token-controller"

    def setup(self) -> None:
        """Watch the Secrets that hold tokens, and the accounts that they are for, with the manager's own rights."""
        self.client = self.context.clients("")
        self.secrets = self.watch("secrets", lambda secret: key_of(secret) if secret.get("type") == TOKEN else None)
        self.accounts = self.watch("serviceaccounts", lambda account: [
            key_of(each) for each in self.secrets.by("namespace", namespace(account))
            if each.get("type") == TOKEN and annotations(each).get(ACCOUNT_NAME) == name(account)])

    async def sync(self, key: str) -> None:
        """Look at one Secret."""
        secret = self.secrets.get(key)
        if secret is None or secret["metadata"].get("deletionTimestamp"):
            return
        told = annotations(secret)
        account = await self.find(namespace(secret), told.get(ACCOUNT_NAME, ""))
        if account is None or told.get(ACCOUNT_UID, uid(account)) != uid(account):
            await self.delete("secrets", secret)

    async def find(self, where: str, named: str) -> Object | None:
        """The account of that name. What our copy lacks is asked for: before a token is deleted we want to be sure."""
        try:
            return self.accounts.get(f"{where}/{named}") or await self.client.get("serviceaccounts", named, where)
        except ApiError as error:
            if error.code != 404:
                raise
            return None
