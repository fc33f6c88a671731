"""Files in a container of Azure's blob storage: uploaded in blocks, there when all are, only over what was read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, ContainerClient

from vitalwire.errors import SinkError, UsageError

from .settings import BlobSettings

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_BLOCK = 1 << 20  # bytes


class Blob:
    """One container, which several gateways may write to: who is late reads again."""

    def __init__(self, settings: BlobSettings) -> None:
        self._settings = settings
        self._client: ContainerClient | None = None

    async def open(self) -> None:
        """Make the container, if there is none."""
        settings = self._settings
        try:
            self._client = ContainerClient.from_connection_string(
                settings.connection.read(),
                settings.container,
                retry_total=0,  # the gateway comes again, and waits longer each time
                connection_timeout=settings.seconds,
                read_timeout=settings.seconds,
                max_single_put_size=_BLOCK,
                max_block_size=_BLOCK,
            )
            address = urlsplit(self._client.url)
            if address.scheme != "https" and address.hostname not in _LOOPBACK:
                raise SinkError("the connection string is for http: anybody could read along", reason="configuration")
            await self._client.create_container()
        except ResourceExistsError:
            return
        except UsageError as error:
            raise SinkError(str(error), reason="configuration") from None
        except ValueError:
            raise SinkError("the connection string is none", reason="configuration") from None
        except AzureError as error:
            raise _trouble(error) from None

    async def read(self, name: str) -> tuple[bytes | None, str | None]:
        """Return a file, or None, and what it is known by."""
        try:
            found = await self._of(name).download_blob()
            return await found.readall(), found.properties.etag
        except ResourceNotFoundError:
            return None, None
        except AzureError as error:
            raise _trouble(error) from None

    async def write(self, name: str, data: bytes, tag: str | None) -> None:
        """Return when the file is stored in place of the one known by `tag`; raises SinkError if that is gone."""
        only: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        if tag is not None:
            only = {"match_condition": MatchConditions.IfNotModified, "etag": tag}
        try:
            await self._of(name).upload_blob(data, overwrite=True, **only)
        except AzureError as error:
            raise _trouble(error) from None

    def _of(self, name: str) -> BlobClient:
        assert self._client is not None
        return self._client.get_blob_client(f"{self._settings.prefix}{name}")

    async def close(self) -> None:
        """Let the connections go."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _trouble(error: AzureError) -> SinkError:
    """Return what went wrong, without the address, which may hold a signature."""
    if not isinstance(error, HttpResponseError):
        return SinkError(f"the storage is away: {type(error).__name__}", reason="connection")
    after = str(getattr(error.response, "headers", {}).get("Retry-After", ""))
    code = getattr(error, "error_code", None) or error.reason
    wait = float(after) if after.isdecimal() else 0.0
    return SinkError(f"the storage answers {error.status_code} {code}", reason=str(error.status_code), retry_after=wait)
