"""`python -m millmark.services.serving.check_health URL`: the health check of a container, whose image has no curl.

Connects to this machine, whatever host the URL names: a gateway answers to its public name alone. Exit code 0 if the
answer is 200, 1 otherwise.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from urllib.parse import urlsplit

_TIMEOUT_S = 4.0


def check_health(url: str) -> str | None:
    """Why the server of this machine at the URL's port is not healthy; None if it is."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl._create_unverified_context()  # noqa: S323  # to this machine; the certificate names another host
        connection = http.client.HTTPSConnection("127.0.0.1", parts.port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path, headers={"Host": parts.netloc})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"{url}: {status}"


if __name__ == "__main__":
    problem = check_health(sys.argv[1])
    if problem is not None:
        sys.exit(problem)
