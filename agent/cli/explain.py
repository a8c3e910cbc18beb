"""`joinery explain`: why a pod has no node, or why that one; what a NodePool may buy and let go."""

from collections.abc import Sequence

import click

from agent.cli import whatif
from agent.cli.whatif import Question
from agent.core.explaining import explain_pod, explain_pool
from agent.kube.workloads import DEFAULT_NAMESPACE
from agent.manifests.faults import similar
from agent.model.names import PodKey
from agent.report import explain as rendered

EXAMPLES = """\b
Examples:
  joinery explain pod/shop/cart-7d4b9
  joinery explain nodepool/worker-scalable
  joinery explain pod/scan-worker-0 -f examples/worker-scalable.yaml -f examples/five-scan-workers.yaml
"""
KINDS = {
    "pod": "pod",
    "pods": "pod",
    "po": "pod",
    "nodepool": "nodepool",
    "nodepools": "nodepool",
    "nodepool.karpenter.sh": "nodepool",
    "nodepools.karpenter.sh": "nodepool",
}
"""What kubectl also takes for the two, in any case."""
SHOWN = 5
"""So many pods of one name are named."""


class Target(click.ParamType[tuple[str, str]]):
    """``pod/NAME``, ``pod/NAMESPACE/NAME`` or ``nodepool/NAME``: the kind, and what follows it."""

    name = "target"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Take the text apart; anything else is wrong usage."""
        written, *parts = value.split("/")
        kind = written.lower()
        if not all(parts) or (KINDS.get(kind), len(parts)) not in {("pod", 1), ("pod", 2), ("nodepool", 1)}:
            self.fail(f'"{value}" is none of pod/NAME, pod/NAMESPACE/NAME and nodepool/NAME', param, ctx)
        return KINDS[kind], "/".join(parts)


@click.command(name="explain", epilog=EXAMPLES)
@click.argument("target", type=Target(), metavar="TARGET")
@whatif.options
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of the pod.  [default: default]")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(*, target: tuple[str, str], question: Question, namespace: str | None, output: str) -> None:
    """Say why a pod gets no node, or which and why, and what each NodePool would do for it; or what a NodePool may do.

    TARGET is pod/NAME, pod/NAMESPACE/NAME or nodepool/NAME. Exit codes: 0; 1 faults or no such object, 64 wrong usage.
    """
    kind, name = target
    if kind == "pod":
        name = _within(name, namespace)
    found = whatif.answer(question)
    whatif.notes(found)
    if kind == "pod":
        pod = explain_pod(found.snapshot, found.plan, PodKey(name))
        if pod is None:
            raise _missing("pod", name, [p.key for p in found.snapshot.pods])
        text, body = rendered.pod_text(pod), rendered.pod_json(pod)
    else:
        pool = explain_pool(found.snapshot, found.plan, name)
        if pool is None:
            raise _missing("NodePool", name, [p.name for p in found.snapshot.pools])
        text, body = rendered.pool_text(pool), rendered.pool_json(pool)
    click.echo(body.decode() if output == "json" else text, nl=output == "json")


def _within(name: str, namespace: str | None) -> str:
    """The pod's whole name; the namespace may be said in one place or the other."""
    said, slash, own = name.rpartition("/")
    if slash and namespace not in (None, said):
        raise click.UsageError(f"{name} is in the namespace {said}, and --namespace says {namespace}")
    return name if slash else f"{namespace or DEFAULT_NAMESPACE}/{own}"


def _missing(kind: str, name: str, known: Sequence[str]) -> click.ClickException:
    """With the names that may have been meant: the same in other namespaces before one that is like it."""
    same = sorted(other for other in known if "/" in other and other.rpartition("/")[2] == name.rpartition("/")[2])
    if len(same) > 1:
        more = f" and {len(same) - SHOWN} more" if len(same) > SHOWN else ""
        hint = f" (did you mean one of {', '.join(same[:SHOWN])}{more}?)"
    else:
        meant = same[0] if same else similar(name, known)
        hint = f" (did you mean {meant}?)" if meant else ""
    return click.ClickException(f"there is no {kind} {name}{hint}")
