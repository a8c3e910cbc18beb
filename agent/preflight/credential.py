"""How long the daemon's own credential lives."""

from collections.abc import Iterator

from agent.kube.identity import life_of
from agent.kube.kubeconfig import token_file
from agent.preflight.finding import Finding
from agent.preflight.site import Site

_SOON_SECONDS = 3 * 3600


def life(site: Site) -> Iterator[Finding]:
    """Of the token in the file that the daemon renews; other credentials have no life that can be read here."""
    path = token_file(site.kubeconfig)
    if path is None:
        yield Finding("credential", "unknown", f"{site.kubeconfig} names no token file: it is not the daemon's own")
        return
    try:
        text = path.read_text()
    except OSError as error:
        yield Finding("credential", "fail", f"{path}: {(error.strerror or str(error)).lower()}", _renew())
        return
    found = life_of(text.strip())
    if found is None:
        yield Finding("credential", "fail", f"{path} holds no ServiceAccount token", _renew())
        return
    left = found.remaining_seconds(site.clock())
    sentence = f"{found.sub}: {left // 3600} h {left % 3600 // 60} min left"
    if left <= 0:
        yield Finding("credential", "fail", f"{found.sub}: expired", _renew())
    elif left < _SOON_SECONDS:
        yield Finding("credential", "warn", f"{sentence}; the daemon renews it at half of a day", "look at its log")
    else:
        yield Finding("credential", "ok", sentence)


def _renew() -> str:
    return "systemctl restart joinery (its ExecStartPre makes a new one)"
